"""`hf-robust interpret`: its flags, its files, and its errors of one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from interpret.interpret_parts import record, review_records
from tiny import SYNONYMS, build_model, build_tokenizer
from transformers import AutoModelForSequenceClassification

from hf_robust.cli.interpret.tasks import TASKS
from hf_robust.cli.main import main
from hf_robust.interpret import predicted_labels
from hf_robust.metrics import AttackRecord
from hf_robust.runs import write_records

ROOT = Path(__file__).parents[1]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "attack_results" / "textfooler.jsonl"
    write_records(path, review_records())
    return path


def swapped(text: str, place: int, new: str, status: str) -> AttackRecord:
    words = text.split()
    after = " ".join([*words[:place], new, *words[place + 1 :]])
    return record(text, after, [[place, words[place], new]], status, idx=place)


def ask(task: str, model: Path, pairs: Path, out: Path, *more: str) -> int:
    return main(["interpret", task, "--model", str(model), "--pairs", str(pairs), "--output_dir", str(out), *more])


def test_consistency_end_to_end(
    model_folder: Callable[..., Path], pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert ask("consistency", model_folder(), pairs, out, "--attribution", "ig", "lime", "--samples", "40") == 0
    printed = capsys.readouterr().out
    found = json.loads((out / "interpretation.json").read_text())
    assert found["counts"] == {
        "records": 6, "other_status": 1, "unchanged": 1, "not_one_to_one": 1, "pairs": 3, "compared": 3
    }  # fmt: skip
    assert "6 records: 1 of another status, 1 unchanged, 1 not word for word, 3 pairs, 3 compared" in printed
    for name in ("ig", "lime"):
        row = found["attributions"][name]
        assert row["num_pairs"] == 3 and [one["k"] for one in row["top_k"]] == list(range(1, 11))
        assert row["changed_share"] == pytest.approx((1 / 3 + 2 / 4 + 1 / 4) / 3)
        assert f"| {name} | {row['kendall_tau']['mean']:.2f} [" in printed
    assert found["attributions"]["lime"]["complete_share"] is None
    assert found["settings"]["ranking"] == "signed" and str(tmp_path) not in json.dumps(found)
    assert all((out / f"interpretation.{ending}").stat().st_size > 1000 for ending in ("png", "svg"))


def test_any_models_pairs_and_the_same_numbers_again(
    model_folder: Callable[..., Path], pairs: Path, tmp_path: Path
) -> None:
    results = []
    for out in (tmp_path / "a", tmp_path / "b"):
        assert ask("consistency", model_folder("distilbert"), pairs, out, "--steps", "8", "--num_pairs", "2") == 0
        results.append(json.loads((out / "interpretation.json").read_text()))
        del results[-1]["attributions"]["ig"]["seconds_per_pair"]
    assert results[0] == results[1] and results[0]["counts"]["compared"] == 2


@pytest.mark.slow
def test_flags_reach_the_measure(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Texts of many words, since few words have few rankings: each flag gives other numbers."""
    text = "the film was good and a very warm story with music and the actor"
    pairs = tmp_path / "pairs.jsonl"
    swaps = [(3, "splendid", "succeeded"), (7, "chilly", "succeeded"), (8, "plot", "failed")]
    write_records(pairs, [swapped(text, place, new, status) for place, new, status in swaps])

    def measured(*more: str) -> str:
        assert ask("consistency", model_folder(), pairs, tmp_path / "out", "--steps", "8", *more) == 0
        (found,) = json.loads((tmp_path / "out" / "interpretation.json").read_text())["attributions"].values()
        del found["seconds_per_pair"]
        return json.dumps(found)

    flags = ["--ranking absolute", "--keep succeeded", "--steps 3", "--max_seq_length 11", "--attribution lime"]
    flags += ["--attribution lime --samples 20", "--attribution lime --samples 20 --seed 1"]
    found = [measured(*more.split()) for more in ["", *flags]]
    assert len(set(found)) == len(found)


def test_the_baseline_reaches_the_gradients(model_folder: Callable[..., Path], pairs: Path, tmp_path: Path) -> None:
    """In a model whose padding has a vector: that of a new BERT is zero, so that both baselines are one."""
    model = AutoModelForSequenceClassification.from_pretrained(model_folder())
    model.get_input_embeddings().weight.data[0] = 1.0
    model.save_pretrained(tmp_path / "model")
    build_tokenizer().save_pretrained(tmp_path / "model")
    errors = set()
    for baseline in ("pad", "zero"):
        flags = ["--baseline", baseline, "--steps", "4"]
        assert ask("consistency", tmp_path / "model", pairs, tmp_path / "out", *flags) == 0
        found = json.loads((tmp_path / "out" / "interpretation.json").read_text())
        assert found["settings"]["baseline"] == baseline
        errors.add(found["attributions"]["ig"]["worst_completeness"])
    assert len(errors) == 2


def test_pairs_that_the_model_gets_right(
    model_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(model_folder())
    texts = ["a good film", "a splendid film", "a fine film"]
    labels = predicted_labels(model, build_tokenizer(), [(text,) for text in texts])
    first, second = next((i, j) for i, j in ((0, 1), (0, 2), (1, 2)) if labels[i] == labels[j])
    swap = [[1, texts[first].split()[1], texts[second].split()[1]]]
    codes = []
    for label in (labels[first], 1 - labels[first]):
        path = tmp_path / f"{label}.jsonl"
        write_records(path, [record(texts[first], texts[second], swap, "failed", 0, label)])
        codes.append(ask("consistency", model_folder(), path, tmp_path / "out", "--keep", "correct", "--steps", "3"))
    assert codes == [0, 2]
    said = capsys.readouterr()
    assert "1 pairs, both texts correct in 1, 1 compared" in said.out
    assert (
        "both texts correct in 0): give results of an attack that replaces words one by one, or another --keep"
        in said.err
    )


def test_words_are_drawn(
    model_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "pairs.jsonl", tmp_path / "out"
    swap = [[3, "good", "splendid"]]
    write_records(path, [record(["<i>a</i> good", "film & plot"], ["<i>a</i> splendid", "film & plot"], swap)])
    assert ask("words", model_folder(), path, out, "--steps", "5") == 0
    page = (out / "word_attributions.html").read_text()
    assert "<i>" not in page and "&lt;" in page and ">splendid</span>" in page and " | " in page
    assert "example 0, original: predicted" in page and "example 0, perturbed: predicted" in page
    assert (out / "word_attributions.png").stat().st_size > 1000
    assert "word_attributions.html" in capsys.readouterr().out


def test_words_of_several_models_stand_below_each_other(
    model_folder: Callable[..., Path], pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, alone, both = [model_folder(), model_folder("distilbert")], tmp_path / "alone", tmp_path / "both"
    assert ask("words", models[1], pairs, alone, "--steps", "3", "--num_pairs", "2") == 0
    flags = ["--pairs", str(pairs), "--output_dir", str(both), "--steps", "3", "--num_pairs", "2"]
    assert main(["interpret", "words", "--model", *map(str, models), *flags]) == 0
    titles = re.findall(r"<h2>(.*?)</h2>", (both / "word_attributions.html").read_text())
    names = [model.name for model in models]
    assert [title.split(", ")[0] for title in titles] == [names[0], names[0], names[1], names[1]] * 2
    texts = re.findall(r"<p>(.*?)</p>", (both / "word_attributions.html").read_text())[1:]
    of_second = [text for place, text in enumerate(texts) if place % 4 > 1]
    assert of_second == re.findall(r"<p>(.*?)</p>", (alone / "word_attributions.html").read_text())[1:]


def test_pairs_that_every_model_gets_right(
    model_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second model that gives the other answer leaves no pair."""
    model = AutoModelForSequenceClassification.from_pretrained(model_folder())
    (label,) = predicted_labels(model, build_tokenizer(), [("a good film",)])
    other = AutoModelForSequenceClassification.from_pretrained(model_folder())
    for head in (model, other):
        head.classifier.weight.data.zero_()
    for head, answer, name in ((model, label, "same"), (other, 1 - label, "other")):
        head.classifier.bias.data = torch.eye(2)[answer]
        head.save_pretrained(tmp_path / name)
        build_tokenizer().save_pretrained(tmp_path / name)
    path = tmp_path / "pairs.jsonl"
    write_records(path, [record("a good film", "a fine film", [[1, "good", "fine"]], "failed", 0, label)])
    flags = ["--pairs", str(path), "--output_dir", str(tmp_path / "out"), "--steps", "3", "--keep", "correct"]
    same, different = str(tmp_path / "same"), str(tmp_path / "other")
    codes = [main(["interpret", "words", "--model", same, second, *flags]) for second in (same, different)]
    said = capsys.readouterr()
    assert codes == [0, 2] and "both texts correct in 1, 1 compared" in said.out
    assert "both texts correct in 0)" in said.err


def test_importance_end_to_end(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phi = {"good": 0.9, "film": 0.4, "splendid": 0.8, "bad": 0.7, "plot": 0.2, "story": 0.3, "the": 0.1, "a": 0.15}
    (tmp_path / "phi.json").write_text(json.dumps(phi))
    (tmp_path / "synonyms.json").write_text(json.dumps(SYNONYMS))
    (tmp_path / "train.csv").write_text("sentence,label\na good film,1\nthe bad plot,0\na film,1\n")
    out = tmp_path / "out"
    flags = ["--texts", str(tmp_path / "train.csv"), "--attack_results", str(pairs), "--output_dir", str(out)]
    call = ["interpret", "importance", "--importances", str(tmp_path / "phi.json"), *flags]
    assert main([*call, "--lexicon", str(tmp_path / "synonyms.json")]) == 0
    found = json.loads((out / "importance.json").read_text())
    assert found["frequency in the texts"]["words"] == 6  # a, good, film, the, bad, plot
    assert found["replacements in attacks"]["words"] == 5  # of the six, "poor" has no importance
    assert found["spread within synonyms"]["pairs"] == 2  # good: splendid; plot: story
    assert found["spread within synonyms"]["mean"] == pytest.approx(0.1)
    assert "spread within synonyms: mean 0.1, variance" in capsys.readouterr().out
    assert (out / "word_importance.png").stat().st_size > 1000
    assert main(call) == 0
    assert "spread" not in capsys.readouterr().out


def test_errors_are_one_line(
    model_folder: Callable[..., Path], pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error_of(path: Path, *more: str, model: Path | None = None) -> str:
        assert ask("consistency", model or model_folder(), path, tmp_path / "out", *more) == 2
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert "hf-robust interpret: " in message
        return message

    def written(name: str, records: list[AttackRecord]) -> Path:
        write_records(tmp_path / name, records)
        return tmp_path / name

    assert "none.jsonl is not a file: give attack_results" in error_of(tmp_path / "none.jsonl")
    assert "empty.jsonl has no attack record" in error_of(written("empty.jsonl", []))
    skipped = written("skipped.jsonl", review_records()[3:])
    assert "has no pair to compare (3 records: 1 of another status, 1 unchanged, 1 not" in error_of(skipped)
    foreign = written("foreign.jsonl", [record("a good film", "a fine film", [[1, "good", "fine"]], label=2)])
    assert "foreign.jsonl has the label ids 2, and the 2 labels of the model are" in error_of(foreign)
    (pairs.parents[1] / "attack_summary.json").write_text(json.dumps({"label_names": ["no", "maybe", "yes"]}))
    named = tmp_path / "named"
    build_model(id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1}).save_pretrained(named)
    build_tokenizer().save_pretrained(named)

    assert "has results of a model with the labels no, maybe, yes, and this model has no, yes" in error_of(
        pairs, model=named
    )
    assert "--num_pairs must be at least 1, or 0 for all pairs, got -1" in error_of(skipped, "--num_pairs", "-1")
    assert "is not a single-label classifier" in error_of(skipped, model=model_folder(num_labels=1))


def test_a_task_is_needed_and_help_is_fast(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(TASKS) == ["consistency", "words", "importance", "pairs", "space", "errors", "conflict"]
    with pytest.raises(SystemExit):
        main(["interpret"])
    code = "import sys, hf_robust.cli.main as c; c.build_parser(['interpret']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
