"""`hf_robust.attack` and `hf-robust attack --victim`: any classifier, the same results, files and errors."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from tiny import SYNONYMS, build_model, build_tokenizer, pair_rows, review_rows, table
from transformers import TextClassificationPipeline

from hf_robust import attack
from hf_robust.attacks.recipes import BY_LABEL
from hf_robust.cli.main import main
from hf_robust.runs import load_run, read_records

ROWS = review_rows(24)
FLAGS: dict[str, Any] = {"lexicon": SYNONYMS, "pos_tagger": "none"}
ONE_ATTACK = ["synonym"]


def model_and_tokenizer() -> tuple[Any, Any]:
    return build_model().eval(), build_tokenizer()


def function_of(model: Any, tokenizer: Any) -> Callable[[list[str]], torch.Tensor]:
    def logits(texts: list[str]) -> torch.Tensor:
        with torch.no_grad():
            return model(**tokenizer(texts, padding=True, return_tensors="pt")).logits

    return logits


def trained_estimator() -> Any:
    """A linear model that has learnt the review rows, with classes that have names."""
    texts, labels = [row["sentence"] for row in ROWS], [("bad", "good")[row["label"]] for row in ROWS]
    return make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, labels)


def outcomes(results: Any, name: str = "synonym") -> list[Any]:
    return [
        (record.idx, record.status, record.perturbed, record.queries, record.near_ties)
        for record in results.records[name]
    ]


class OwnPipeline(TextClassificationPipeline):
    """A pipeline with a step of its own, so that its model and tokenizer alone are another classifier."""

    def preprocess(self, inputs: Any, **options: Any) -> Any:
        return super().preprocess(inputs, **options)


def victims(folder: Path) -> dict[str, Any]:
    model, tokenizer = model_and_tokenizer()
    return {
        "folder": str(folder),
        "pair": (model, tokenizer),
        "pipeline": TextClassificationPipeline(model=model, tokenizer=tokenizer),
        "own pipeline": OwnPipeline(model=model, tokenizer=tokenizer),
        "logits": function_of(model, tokenizer),
        "probabilities": lambda texts: function_of(model, tokenizer)(texts).softmax(-1).numpy(),
    }


@pytest.mark.parametrize("name", ["synonym", "textfooler", "input_reduction"])
def test_every_kind_of_victim_gives_the_same(name: str, model_folder: Callable[..., Path]) -> None:
    flags = {} if name == "input_reduction" else FLAGS
    results = {kind: attack(given, ROWS, [name], **flags) for kind, given in victims(model_folder()).items()}
    expected = outcomes(results["folder"], name)
    assert "succeeded" in {status for _, status, *_ in expected}
    for kind, found in results.items():
        assert outcomes(found, name) == expected, kind
    assert results["logits"].card["victim"]["outputs"] == "logits"
    assert results["own pipeline"].card["victim"]["outputs"] == "probabilities"
    assert results["pipeline"].card["data"]["max_length"] == 64 and "victim" not in results["pipeline"].card


@pytest.mark.parametrize("method", [False, True], ids=["estimator", "predict_proba"])
def test_scikit_learn(method: bool) -> None:
    estimator = trained_estimator()
    rows = [(row["sentence"], ("bad", "good")[row["label"]]) for row in ROWS]
    results = attack(estimator.predict_proba if method else estimator, rows, ONE_ATTACK, **FLAGS)
    assert results.card["label_names"] == ["bad", "good"] and results.summaries["synonym"].extra["accuracy"] == 1
    succeeded = [record for record in results.records["synonym"] if record.status == "succeeded"]
    assert succeeded
    for record in succeeded:
        before, after = estimator.predict([record.original[0], record.perturbed[0]])
        assert before == results.card["label_names"][record.label] != after
    assert "| synonym |" in str(results)
    one_name = attack(estimator, rows, "synonym", **FLAGS)
    assert outcomes(one_name) == outcomes(results)


@pytest.mark.filterwarnings("ignore")  # of the exporter
def test_onnx_runtime(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, tokenizer = model_and_tokenizer()
    names, axes = ["input_ids", "attention_mask"], {0: "texts", 1: "tokens"}

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    # Texts of different lengths: without padding the export would leave the mask out.
    batch = tokenizer(["a good film", "bad"], padding=True, return_tensors="pt")
    options = {"input_names": names, "output_names": ["logits"], "dynamic_axes": {name: axes for name in names}}
    path = str(tmp_path / "model.onnx")
    torch.onnx.export(Logits(), tuple(batch[name] for name in names), path, dynamo=False, **options)
    session = runtime.InferenceSession(path)

    def predict(texts: list[str]) -> Any:
        encoded = tokenizer(texts, padding=True, return_tensors="np")
        return session.run(["logits"], {name: encoded[name] for name in names})[0]

    expected = attack((model, tokenizer), ROWS, ["textfooler"], **FLAGS)
    assert outcomes(attack(predict, ROWS, ["textfooler"], **FLAGS), "textfooler") == outcomes(expected, "textfooler")


def test_an_estimator_without_probabilities_is_one_sentence() -> None:
    estimator = make_pipeline(CountVectorizer(), LinearSVC()).fit(*zip(*[row.values() for row in ROWS], strict=True))
    for given in (estimator, estimator.predict):
        with pytest.raises(ValueError, match="predict returns labels alone, and synonym and .*predict_proba") as error:
            attack(given, ROWS, ["synonym", "input_reduction"], **FLAGS)
        assert "synonym and input_reduction need scores: use the attacks that need labels alone" in str(error.value)
        assert f"({', '.join(BY_LABEL)}, file:PATH, --replay)" in str(error.value)
    with pytest.raises(ValueError, match=r"one number for each text; .* return \[1 - p, p\]"):
        attack(estimator.decision_function, ROWS, ONE_ATTACK, **FLAGS)


@pytest.fixture
def encoder_folder(tmp_path: Path) -> str:
    folder = tmp_path / "encoder"
    build_tokenizer().save_pretrained(folder)
    build_model().base_model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("named", [False, True], ids=["numbers", "names"])
def test_labels_alone_are_attacked(named: bool, encoder_folder: str, tmp_path: Path) -> None:
    """Budget, journal and card are as for scores; the classes are the function's, or else those of the data."""
    names = ("bad", "good")
    texts, labels = [row["sentence"] for row in ROWS], [names[row["label"]] for row in ROWS]
    rows = list(zip(texts, labels if named else [row["label"] for row in ROWS], strict=True))
    estimator = make_pipeline(CountVectorizer(), LinearSVC()).fit(texts, [label for _, label in rows])
    asked: list[str] = []

    def predict(texts: list[str]) -> list[Any]:
        asked.extend(texts)
        return list(estimator.predict(texts))

    flags = {**FLAGS, "sentence_encoder": encoder_folder, "attack_query_budget": 60, "output_dir": tmp_path / "out"}
    results = attack(predict, rows, ["hlbb"], **flags)
    assert results.card["victim"]["outputs"] == "labels" and results.card["label_names"] == list(
        names if named else ("0", "1")
    )
    found = results.records["hlbb"]
    assert any(record.status == "succeeded" for record in found) and all(record.queries <= 60 for record in found)
    for record in found:
        before, after = estimator.predict([record.original[0], record.perturbed[0]])
        assert (record.status == "succeeded") == (before != after)
    asked.clear()
    again = attack(predict, rows, ["hlbb"], **flags)
    assert outcomes(again, "hlbb") == outcomes(results, "hlbb")
    # Two questions for the first texts, the trial of the attack on one text, and the first texts of the journal.
    assert len(asked) <= 16 + 51 + 8 + 8
    assert outcomes(attack(estimator, rows, ["hlbb"], **(flags | {"output_dir": None})), "hlbb") == outcomes(
        results, "hlbb"
    )


def test_labels_that_change_are_refused() -> None:
    answers = iter(range(1000))
    with pytest.raises(ValueError, match="gives other labels when it is asked for the same texts again, so no search"):
        attack(lambda texts: [next(answers) // 8 % 2 for _ in texts], ROWS, ["input_reduction"])


def test_every_kind_of_rows_and_lexicon_gives_the_same(tmp_path: Path) -> None:
    pandas, datasets = pytest.importorskip("pandas"), pytest.importorskip("datasets")
    victim = function_of(*model_and_tokenizer())
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "synonyms.json").write_text(json.dumps(SYNONYMS))
    kinds = [
        ROWS,
        [(row["sentence"], row["label"]) for row in ROWS],
        pandas.DataFrame(ROWS),
        datasets.Dataset.from_list(ROWS),
        tmp_path / "rows.jsonl",
    ]
    lexicons = [SYNONYMS, table(SYNONYMS, "synonym"), tmp_path / "synonyms.json", SYNONYMS, SYNONYMS]
    results = [
        outcomes(attack(victim, rows, ONE_ATTACK, lexicon=lexicon, pos_tagger="none"))
        for rows, lexicon in zip(kinds, lexicons, strict=True)
    ]
    assert all(found == results[0] for found in results) and len(results[0]) == len(ROWS)


def test_declared_class_names_number_the_classes() -> None:
    datasets = pytest.importorskip("datasets")
    estimator = trained_estimator()
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["good", "bad"])}
    )
    rows = datasets.Dataset.from_list([{**row, "label": 1 - row["label"]} for row in ROWS], features=features)
    results = attack(estimator, rows, ONE_ATTACK, **FLAGS)
    assert results.summaries["synonym"].extra["accuracy"] == 1


def test_two_text_columns_are_tuples() -> None:
    asked: list[Any] = []

    def by_length(texts: list[Any]) -> Any:
        asked.extend(texts)
        first = np.array([[len(one), len(other), 12.0] for one, other in texts])
        return first / 4

    rows = [(row["sentence1"], row["sentence2"], row["label"]) for row in pair_rows(9)]
    results = attack(by_length, rows, ONE_ATTACK, frozen_columns=["sentence1"], **FLAGS)
    assert {type(text) for text in asked} == {tuple} and {len(text) for text in asked} == {2}
    firsts = {one for one, *_ in rows}
    assert {record.perturbed[0] for record in results.records["synonym"]} <= firsts


def test_a_budget_bounds_the_queries() -> None:
    results = attack(
        trained_estimator(), ROWS, ONE_ATTACK, attack_query_budget=3, class_names=["bad", "good"], **FLAGS
    )
    assert max(record.queries for record in results.records["synonym"]) == 3


def test_an_interrupted_attack_continues(tmp_path: Path) -> None:
    """Calls stop in the middle; the second run asks no finished example again, except for the comparison."""
    logits = function_of(*model_and_tokenizer())
    asked: list[str] = []

    def predict(texts: list[str], left: list[int] = [40]) -> Any:  # noqa: B006
        left[0] -= 1
        if left[0] == 0:
            raise ConnectionError("closed")
        asked.extend(texts)
        return logits(texts)

    flags = {**FLAGS, "output_dir": tmp_path / "out", "batch_size": 1}
    with pytest.raises(ValueError, match=r"failed on 1 texts with ConnectionError: closed"):
        attack(predict, ROWS, ["input_reduction"], output_dir=tmp_path / "out", batch_size=1)
    assert not (tmp_path / "out" / "run_card.json").exists()
    whole = attack(predict, ROWS, ONE_ATTACK, **flags)
    asked.clear()
    again = attack(predict, ROWS, ONE_ATTACK, **flags)
    assert outcomes(again) == outcomes(whole)
    # Two questions for the first texts, the trial of the attack on one text, and the first texts of the journal.
    assert set(asked[-8:]) == {row["sentence"] for row in ROWS[:8]} and len(asked) < 45
    records = read_records(tmp_path / "out" / "attack_results" / "synonym.jsonl")
    assert [record.perturbed for record in records] == [record.perturbed for record in whole.records["synonym"]]
    predict.__defaults__[0][0] = 1000

    def inverted(texts: list[str]) -> Any:
        return -logits(texts)

    inverted.__qualname__ = predict.__qualname__
    with pytest.raises(ValueError, match="they are of another classifier, or its answers change; give another"):
        attack(inverted, ROWS, ONE_ATTACK, **flags)


@pytest.mark.parametrize("by_function", [False, True], ids=["model", "function"])
def test_every_query_is_kept(by_function: bool, tmp_path: Path) -> None:
    pair = model_and_tokenizer()
    victim = function_of(*pair) if by_function else pair
    for _ in range(2):  # the second call finds all examples in the journal
        results = attack(victim, ROWS, ["textfooler"], output_dir=tmp_path, keep_queries=True, **FLAGS)
    lines = [json.loads(line) for line in (tmp_path / "attack_queries" / "textfooler.jsonl").read_text().splitlines()]
    scored = {tuple(line["texts"]): line["probabilities"] for line in lines}
    records = results.records["textfooler"]
    # A text that an example asks for twice counts twice and is scored once.
    assert len(records) < len(lines) <= sum(record.queries for record in records)
    for record in records:
        assert scored[tuple(record.original)][record.label] == pytest.approx(record.original_score, abs=1e-5)
        assert scored[tuple(record.perturbed)][record.label] == pytest.approx(record.perturbed_score, abs=1e-5)
    with pytest.raises(ValueError, match="--keep_queries needs --output_dir"):
        attack(victim, ROWS, ["textfooler"], keep_queries=True, **FLAGS)


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    attack(trained_estimator(), ROWS[:4], ONE_ATTACK, class_names=["bad", "good"], **FLAGS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "flags", "sentence"),
    [
        (build_model(), {}, r"a BertForSequenceClassification alone reads no texts: give \(model, tokenizer\)"),
        (3, {}, "a victim is a folder, a Hub id, .* got a int"),
        ((1, 2), {}, "a pair must be a transformers classifier and its tokenizer, got int and int"),
        (model_and_tokenizer(), {"retries": 3}, "retries: only a function of texts is called with these settings"),
        (model_and_tokenizer(), {"device": "cpu"}, "--device cpu is for a folder or a Hub id"),
        (len, {"attack": "x"}, r"attack\(\) has no argument attack"),
        (function_of(*model_and_tokenizer()), {"attack_votes": 3}, "--attack_votes needs a model and its tokenizer"),
        (function_of(*model_and_tokenizer()), {"max_seq_length": 9}, "--max_seq_length needs a tokenizer"),
        (function_of(*model_and_tokenizer()), {"attack_token_budget": 9}, "give --victim_batch_size"),
        (function_of(*model_and_tokenizer()), {"class_names": ["a", "b", "c"]}, "scores of 2 classes and has 3"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(given: Any, flags: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        attack(given, ROWS, ONE_ATTACK, **FLAGS, **flags)


def test_a_model_with_dropout_is_one_sentence() -> None:
    model = build_model(dropout=0.5).train()
    with pytest.raises(ValueError, match="gives other scores .* again .*: put its model in eval mode"):
        attack(function_of(model, build_tokenizer()), ROWS, ONE_ATTACK, **FLAGS)


def test_attacks_by_gradient_need_a_model() -> None:
    victim = function_of(*model_and_tokenizer())
    with pytest.raises(ValueError, match="ranking words by gradient needs gradients, and .* gives only scores"):
        attack(victim, ROWS, ONE_ATTACK, attack_ranking="gradient", **FLAGS)
    pairs = [(row["sentence"], row["sentence"], row["label"]) for row in ROWS]
    with pytest.raises(ValueError, match="needs gradients, and .* gives only scores"):
        attack(victim, pairs, ["gradient_mask"])


def test_a_model_of_several_labels_for_each_text() -> None:
    names = ["joy", "anger", "love"]
    model = build_model(num_labels=3, problem_type="multi_label_classification")
    model.config.id2label, model.config.label2id = dict(enumerate(names)), {name: i for i, name in enumerate(names)}
    rows = [{"sentence": row["sentence"], "label": [["love", "joy"], []][index % 2]} for index, row in enumerate(ROWS)]
    results = attack((model, build_tokenizer()), rows, ONE_ATTACK, **FLAGS)
    (records,) = results.records.values()
    assert {record.label for record in records} == {0b101, 0}
    assert {record.status == "skipped" for record in records} >= {True}
    for record in records:
        assert (record.status == "skipped") == (record.original_prediction != record.label)
    with pytest.raises(ValueError, match="has 3 classes .multi label classification. and .* has 2 .single label"):
        attack((model, build_tokenizer()), ROWS, ONE_ATTACK, class_names=["a", "b"], **FLAGS)


@pytest.mark.parametrize(
    "rows, message",
    [
        (5, "the rows must be a list of dicts, .* got a int"),
        ([1, 2], "row 0 of the rows must be a dict"),
        ([("a",)], "a row must be a dict of its columns, .* got 1 values"),
        ({"text": ["a"]}, "the rows must be rows, got a dict with text: pass one split"),
        ([], "no rows to attack"),
    ],
)
def test_rows_that_are_none(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attack(trained_estimator(), rows, ONE_ATTACK, **FLAGS)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_folder: Callable[..., Path]) -> str:
    """A module in the working folder with a function ``predict`` that has class names."""
    name = f"victim_of_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        "import torch\n"
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer\n"
        f"model = AutoModelForSequenceClassification.from_pretrained({str(model_folder())!r}).eval()\n"
        f"tokenizer = AutoTokenizer.from_pretrained({str(model_folder())!r})\n"
        "def predict(texts):\n"
        "    with torch.no_grad():\n"
        "        return model(**tokenizer(texts, padding=True, return_tensors='pt')).logits\n"
        "predict.class_names = ['bad', 'good']\n"
        "pair = (model, tokenizer)\n"
        "number = 3\n"
    )
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "synonyms.json").write_text(json.dumps(SYNONYMS))
    monkeypatch.chdir(tmp_path)
    return name


COMMAND = "--data rows.jsonl --attacks synonym --lexicon synonyms.json --pos_tagger none".split()


def test_the_command_attacks_a_function(
    module: str, model_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attack", "--victim", f"{module}:predict", *COMMAND, "--output_dir", "out"]) == 0
    printed = capsys.readouterr().out
    assert main(["attack", str(model_folder()), *COMMAND, "--class_names", "bad", "good", "--output_dir", "own"]) == 0
    by_function, by_folder = (read_records(f"{folder}/attack_results/synonym.jsonl") for folder in ("out", "own"))
    assert [(one.perturbed, one.queries) for one in by_function] == [(one.perturbed, one.queries) for one in by_folder]
    card = load_run("out").card
    assert card["model"] == f"{module}.predict" and card["label_names"] == ["bad", "good"]
    assert card["victim"]["outputs"] == "logits" and "| synonym |" in printed
    assert main(["attack", "--victim", f"{module}:pair", *COMMAND, "--output_dir", "pair"]) == 0
    assert "victim" not in load_run("pair").card


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "give either MODEL, the folder or Hub id of a checkpoint, or --victim module:name."),
        (["model", "--victim", "a:b"], "give either MODEL"),
        (["--victim", "predict"], "--victim predict must be module:name"),
        (["--victim", "no_such_module:predict"], "cannot be imported: ModuleNotFoundError: No module named 'no_such"),
        (["--victim", "MODULE:predicted"], "cannot be imported: AttributeError"),
        (["--victim", "MODULE:number"], "a victim is a folder"),
        (["--victim", "MODULE:pair", "--victim_rate", "3"], "rate: only a function of texts"),
    ],
)
def test_a_victim_that_is_none_is_one_line(
    flags: list[str], sentence: str, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [flag.replace("MODULE", module) for flag in flags]
    assert main(["attack", *words, *COMMAND, "--output_dir", "out"]) == 2
    error = capsys.readouterr().err
    assert sentence in error.splitlines()[-1] and "Traceback" not in error


class Endpoint(BaseHTTPRequestHandler):
    """Answers texts with probabilities, and fails one request in ten."""

    estimator: Any
    requests = 0

    def do_POST(self) -> None:
        type(self).requests += 1
        if self.requests % 10 == 5:
            self.send_error(503)
            return
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(self.estimator.predict_proba(texts).tolist()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Silent."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    handler = type("Handler", (Endpoint,), {"estimator": trained_estimator()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_that_fails_one_request_in_ten(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_robust.attacks.engine.black_box.FIRST_WAIT", 0.001)

    def ask(texts: list[str]) -> Any:
        request = urllib.request.Request(endpoint, json.dumps(texts).encode())
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    flags = {**FLAGS, "class_names": ["bad", "good"], "batch_size": 4}
    results = attack(ask, ROWS, ONE_ATTACK, retries=2, **flags)
    assert results.card["victim"]["retried"] >= 2
    assert outcomes(results) == outcomes(
        attack(trained_estimator(), ROWS, ONE_ATTACK, **FLAGS, class_names=["bad", "good"])
    )
    with pytest.raises(ValueError, match="failed on 4 texts with HTTPError: HTTP Error 503"):
        attack(ask, ROWS, ONE_ATTACK, **flags)


def test_an_attack_stops_at_an_interval_and_says_so(tmp_path: Path) -> None:
    rows = review_rows(120)
    whole = attack(model_and_tokenizer(), rows, ONE_ATTACK, **FLAGS)
    results = attack(model_and_tokenizer(), rows, ONE_ATTACK, output_dir=tmp_path, attack_until_interval=45, **FLAGS)
    line = results.history_line["attacks"]["synonym"]
    assert line["num_examples"] == len(results.records["synonym"]) < line["num_rows"] == 120
    assert line["robust_accuracy_high"] - line["robust_accuracy_low"] < 0.45
    assert {record.idx for record in results.records["synonym"]} < {record.idx for record in whole.records["synonym"]}
    assert f"stopped after {line['num_examples']:,.0f} of 120 rows" in str(results)
    assert load_run(tmp_path).history == [results.history_line]
    with pytest.raises(ValueError, match="--attack_until_interval 1 cannot be reached on 24 rows: it takes "):
        attack(model_and_tokenizer(), ROWS, ONE_ATTACK, attack_until_interval=1, **FLAGS)


def test_a_target_names_keys_files_and_card(tmp_path: Path) -> None:
    flags = {**FLAGS, "attack_target": "good", "class_names": ["bad", "good"]}
    results = attack(model_and_tokenizer(), ROWS, ONE_ATTACK, output_dir=tmp_path, **flags)
    name = "synonym_to_good"
    assert list(results.records) == list(results.history_line["attacks"]) == [name]
    records = read_records(tmp_path / "attack_results" / f"{name}.jsonl")
    assert {record.label for record in records} == {0}
    entry = load_run(tmp_path).card["attacks"][name]
    assert (entry["goal"]["label"], entry["rows_left_out"]) == ("good", len(ROWS) - len(records))
    assert "rows left out, whose label is good already" in str(results)
    with pytest.raises(ValueError, match="--attack_target great is no label of this task; its labels are bad, good"):
        attack(model_and_tokenizer(), ROWS, ONE_ATTACK, **{**flags, "attack_target": "great"})


# ---- bfloat16 ----


def test_bf16_runs_the_model_in_autocast_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hf_robust.models.bf16.has_bf16", lambda device: True)
    model, tokenizer = model_and_tokenizer()
    seen = []
    model.classifier.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    plain = attack((model, tokenizer), ROWS, ONE_ATTACK, output_dir=tmp_path / "plain", **FLAGS)
    assert set(seen) == {torch.float32} and "autocast" not in plain.card["precision"]
    seen.clear()
    rounded = attack((model, tokenizer), ROWS, ONE_ATTACK, output_dir=tmp_path / "bf16", bf16=True, **FLAGS)
    assert set(seen) == {torch.bfloat16} and rounded.card["precision"]["autocast"] == "bfloat16"
    scores = [[record.original_score for record in one.records["synonym"]] for one in (plain, rounded)]
    assert scores[0] != scores[1] and np.allclose(*scores, atol=0.02)
    # The journal of one is not read by the other.
    again = attack((model, tokenizer), ROWS, ONE_ATTACK, output_dir=tmp_path / "bf16", **FLAGS)
    assert [record.original_score for record in again.records["synonym"]] == pytest.approx(scores[0], abs=1e-6)


def test_bf16_is_refused_where_it_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = model_and_tokenizer()
    with pytest.raises(ValueError, match="--bf16 needs a model and its tokenizer, and .* is a function of texts"):
        attack(function_of(model, tokenizer), ROWS, ONE_ATTACK, bf16=True, **FLAGS)
    monkeypatch.setattr("hf_robust.models.bf16.has_bf16", lambda device: False)
    with pytest.raises(ValueError, match="--bf16 needs a processor or GPU that multiplies in bfloat16, and this cpu"):
        attack((model, tokenizer), ROWS, ONE_ATTACK, bf16=True, **FLAGS)
