"""The console command `hf-robust`: its output, its files, and its errors of one line."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import ANTONYMS, SYNONYMS, build_model, build_tokenizer, build_trainer, review_data, review_rows, table

from hf_robust.attacks import ATTACKS, Example, Resources, Victim
from hf_robust.callbacks import AttackCallback
from hf_robust.cli.main import main
from hf_robust.lexicons import read_table
from hf_robust.metrics import AttackSummary, asr_at_budget
from hf_robust.runs import load_run, read_history, read_records, write_history_line
from hf_robust.trainers import METHODS
from hf_robust.wiring.checkpoint_attack import load_classifier

ROOT = Path(__file__).parents[1]


def line(asr: float) -> dict[str, Any]:
    rates = {"asr": asr, "num_examples": 10, "num_attacked": 8, "robust_accuracy": 0.5}
    return {"epoch": 1.0, "step": 1, "accuracy": 0.75, "attacks": {"synonym": rates}}


@pytest.fixture
def corpus(tmp_path: Path) -> dict[str, str]:
    """Paths of a data file and of the two lexicon tables."""
    paths = {name: str(tmp_path / name) for name in ("reviews.jsonl", "synonyms.json", "antonyms.json")}
    Path(paths["reviews.jsonl"]).write_text("".join(json.dumps(row) + "\n" for row in review_rows(30)))
    Path(paths["synonyms.json"]).write_text(json.dumps(SYNONYMS))
    Path(paths["antonyms.json"]).write_text(json.dumps(ANTONYMS))
    return paths


def flags_of(model: Path, corpus: dict[str, str], out: Path, attacks: tuple[str, ...]) -> list[str]:
    flags = ["--data", corpus["reviews.jsonl"], "--output_dir", str(out), "--pos_tagger", "none"]
    flags += ["--class_names", "bad", "good"]
    lexicons = ["--lexicon", corpus["synonyms.json"], "--antonym_lexicon", corpus["antonyms.json"]]
    return ["attack", str(model), *flags, *lexicons, "--attacks", *attacks]


def attack(model: Path, corpus: dict[str, str], out: Path, *more: str, attacks: tuple[str, ...] = ("synonym",)) -> int:
    return main([*flags_of(model, corpus, out, attacks), *more])


def test_methods_and_attacks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in listed[1:]] == list(METHODS)
    triplet = next(row for row in listed if row.startswith("bat_triplet"))
    assert "chen2022balanced: Balanced Adversarial Training" in triplet
    assert main(["attacks"]) == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()[1:]] == [*ATTACKS, "standard"]


def test_attack_writes_records_and_summary(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert attack(model_folder(), corpus, out, "--attack_num_examples", "20", attacks=("synonym", "antonym")) == 0
    printed = capsys.readouterr().out
    summary = json.loads((out / "attack_summary.json").read_text())
    for name in ("synonym", "antonym"):
        records = read_records(out / "attack_results" / f"{name}.jsonl")
        assert len(records) == 20
        succeeded = sum(record.status == "succeeded" for record in records)
        attacked = sum(record.status != "skipped" for record in records)
        assert summary["results"][name]["num_succeeded"] == succeeded
        assert summary["results"][name]["asr"] == pytest.approx(succeeded / attacked)
        (row,) = [line for line in printed.splitlines() if line.startswith(f"| {name} |")]
        assert f" | {100 * succeeded / attacked:.0f} [" in row and f" | 20 | {attacked} |" in row
    assert summary["attacks"]["synonym"]["candidates"]["lexicon"]["size"] == len(SYNONYMS)
    assert str(tmp_path) not in (out / "run_card.json").read_text()
    changed = [r for r in read_records(out / "attack_results" / "synonym.jsonl") if r.status == "succeeded"]
    assert changed, "the tiny model should be fooled at least once"
    assert f"  before: {changed[0].original[0]}\n  after:  {changed[0].perturbed[0]}\n" in printed
    assert printed.count("  before: ") == 3
    assert load_run(out).published["attacks"]["synonym"]["num_examples"] == 20


def test_a_blind_search_is_said_and_check_asks_for_one_that_sees(
    corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A very certain model: `check` names a command, which is run, and then compares the two measurements."""

    def checked() -> dict[str, Any]:
        main(["check", str(out), "--json", str(tmp_path / "check.json")])
        checks = json.loads((tmp_path / "check.json").read_text())["checks"]
        found: dict[str, Any] = next(one for one in checks if one["check"] == "saturated_scores")
        return found

    model, folder, out = build_model(), tmp_path / "sure", tmp_path / "out"
    with torch.no_grad():
        model.classifier.weight *= 4000
        model.classifier.bias *= 4000
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    assert attack(folder, corpus, out, attacks=("textfooler",)) == 0
    printed = capsys.readouterr().out
    share = json.loads((out / "attack_summary.json").read_text())["results"]["textfooler"]["extra"]["saturated_share"]
    assert share > 0.5 and f"textfooler: at {100 * share:.1f} % of the queries the model's probability" in printed
    (row,) = [line for line in printed.splitlines() if line.startswith("| textfooler |")]
    assert f"| {100 * share:.1f} |" in row
    found = checked()
    (command,) = found["commands"]
    assert found["status"] == "flagged" and "--attack_scores margin" in command
    # The run card holds what lies outside the working folder by its name, below one to be filled in.
    whole = {**corpus, folder.name: str(folder)}
    words = [whole.get(re.sub("^[A-Z]+_DIR/", "", word), word) for word in shlex.split(command)[1:]]
    assert not any("_DIR/" in word for word in words) and main(words) == 0
    found = checked()
    compared = [one for one in found["numbers"] if "by_margin" in one]
    assert len(compared) == 1 and compared[0]["second"] >= compared[0]["first"] and not found["commands"]


def test_the_summary_has_the_rate_by_budget(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert attack(model_folder(), corpus, out, attacks=("synonym", "antonym")) == 0
    summary = json.loads((out / "attack_summary.json").read_text())
    for name, curve in summary["asr_by_budget"].items():
        records = read_records(out / "attack_results" / f"{name}.jsonl")
        attacked = [record for record in records if record.status != "skipped"]
        for budget, asr in zip(curve["budget"], curve["asr"], strict=True):
            won = sum(record.status == "succeeded" and record.queries <= budget for record in attacked)
            assert asr == pytest.approx(won / len(attacked))
        assert curve["asr"][-1] == pytest.approx(summary["results"][name]["asr"])
    assert summary["union"] is None  # one attack that wants another prediction is no union
    assert b"synonym" in (out / "asr_by_budget.svg").read_bytes() and (out / "asr_by_budget.png").is_file()


@pytest.mark.parametrize("budget", [2, 4, 6])
def test_an_attack_with_a_budget_finds_what_the_curve_says(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path, budget: int
) -> None:
    """An attack with this budget finds every success within the budget with the same text, so the curve is correct."""
    assert attack(model_folder(), corpus, tmp_path / "all") == 0
    assert attack(model_folder(), corpus, tmp_path / "few", "--attack_query_budget", str(budget)) == 0
    whole, bounded = (read_records(tmp_path / run / "attack_results" / "synonym.jsonl") for run in ("all", "few"))
    within = [record for record in whole if record.status == "succeeded" and record.queries <= budget]
    again = {record.idx: record for record in bounded}
    assert [again[one.idx].perturbed for one in within] == [one.perturbed for one in within]
    assert all(again[one.idx].status == "succeeded" for one in within)
    (expected,) = asr_at_budget(whole, [budget])
    assert expected <= AttackSummary.from_records(bounded).asr


DIES = """
import os, signal, sys
from hf_robust.wiring import checkpoint_attack
from hf_robust.attacks import Victim
from hf_robust.cli.main import main
from hf_robust.runs import journal
journal.FLUSH_SECONDS = 0
checkpoint_attack.check_attack = lambda *_: None  # it dies in the attack itself
score, left = Victim.score, [int(sys.argv[1])]
def dying(self, texts):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(self, texts)
Victim.score = dying
main(sys.argv[2:])
"""


def permuted(model: Path, folder: Path, names: tuple[Any, Any] = (0, 1)) -> Path:
    """Texts with labels that the model does not predict."""
    loaded, tokenizer = load_classifier(str(model), "cpu")
    rows = review_rows(40)
    predicted = Victim(loaded, tokenizer, max_length=64).probabilities([(row["sentence"],) for row in rows]).argmax(-1)
    assert 3 < predicted.sum() < 37
    path = folder / "permuted.jsonl"
    labelled = [row | {"label": names[1 - int(one)]} for row, one in zip(rows, predicted, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in labelled))
    return path


@pytest.mark.parametrize("command", ["attack", "certify"])
def test_permuted_labels_are_said_and_numbered_anew(
    command: str,
    model_folder: Callable[..., Path],
    corpus: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, data = model_folder(), permuted(model_folder(), tmp_path)
    flags = [command, str(model), "--data", str(data), "--lexicon", corpus["synonyms.json"], "--pos_tagger", "none"]
    flags += ["--attacks", "synonym"] if command == "attack" else ["--votes", "40"]
    assert main([*flags, "--output_dir", str(tmp_path / "guessed")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Labels may be permuted: the accuracy on 40 rows is 0.0 %, below chance" in printed
    assert "would be 100.0 % if predictions meant: LABEL_0 -> LABEL_1, LABEL_1 -> LABEL_0" in printed
    (names,) = re.findall(r"give --class_names ([^.]*)\.", printed)
    card = json.loads((tmp_path / "guessed" / "run_card.json").read_text())
    assert card["label_names"] == ["LABEL_0", "LABEL_1"] and card["label_names_from"] == "checkpoint"
    assert "integers without names, and are read as the ids" in card["label_guess"]
    assert main([*flags, "--output_dir", str(tmp_path / "given"), "--class_names", *names.split()]) == 0
    assert "permuted:" not in capsys.readouterr().out
    assert load_run(tmp_path / "given").published["accuracy"] == 1.0
    card = json.loads((tmp_path / "given" / "run_card.json").read_text())
    assert card["label_names_from"] == "--class_names" and "label_guess" not in card
    if command == "attack":
        assert main(["check", str(tmp_path / "guessed")]) == 1
        assert "- **flagged** order of the label ids" in capsys.readouterr().out


def test_names_that_the_model_has_not_need_class_names_in_its_order(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = permuted(model_folder(), tmp_path, ("bad", "good"))
    flags = ["attack", str(model_folder()), "--data", str(data), "--attacks", "synonym", "--pos_tagger", "none"]
    flags += ["--lexicon", corpus["synonyms.json"], "--output_dir", str(tmp_path / "out")]
    assert main(flags) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert (
        "'bad', 'good' (known: ['LABEL_0', 'LABEL_1'])" in error and "in the model's order by --class_names" in error
    )
    assert main([*flags, "--class_names", "good", "bad"]) == 0
    assert load_run(tmp_path / "out").published["accuracy"] == 1.0


def test_obstinate_attacks_on_classes_without_names_are_one_line(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["attack", str(model_folder()), "--data", corpus["reviews.jsonl"], "--attacks", "antonym"]
    flags += [
        "--antonym_lexicon",
        corpus["antonyms.json"],
        "--pos_tagger",
        "none",
        "--output_dir",
        str(tmp_path / "o"),
    ]
    assert main(flags) == 2
    assert "the classes have no names (LABEL_0, LABEL_1)" in capsys.readouterr().err
    assert main([*flags, "--skip_labels", "1"]) == 0
    records = read_records(tmp_path / "o" / "attack_results" / "antonym.jsonl")
    assert {one.stop == "skip_label" for one in records if one.label == 1} == {True}
    assert not any(one.stop == "skip_label" for one in records if one.label == 0)


@pytest.mark.slow
def test_a_killed_process_goes_on_where_it_stopped(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attack(model_folder(), corpus, tmp_path / "whole", attacks=("synonym", "antonym")) == 0
    flags = flags_of(model_folder(), corpus, tmp_path / "killed", ("synonym", "antonym"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DIES, "5", *flags]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    journals = list((tmp_path / "killed" / "_attack_journal").glob("*.jsonl"))
    kept = [record for path in journals for record in read_records(path)]
    assert 0 < len(kept) < 60 and not (tmp_path / "killed" / "attack_summary.json").exists()
    asked: list[int] = []
    score = Victim.score
    # The attacks are tried on a first text all the same.
    monkeypatch.setattr("hf_robust.wiring.checkpoint_attack.check_attack", lambda *_: None)
    monkeypatch.setattr(Victim, "score", lambda self, texts: asked.append(len(texts)) or score(self, texts))
    assert main(flags) == 0
    whole = {
        name: read_records(tmp_path / "whole" / "attack_results" / f"{name}.jsonl") for name in ("synonym", "antonym")
    }
    assert sum(asked) == sum(r.queries for found in whole.values() for r in found) - sum(r.queries for r in kept)
    inexact = ("original_score", "perturbed_score")
    for name, found in whole.items():
        again = read_records(tmp_path / "killed" / "attack_results" / f"{name}.jsonl")
        for mine, theirs in zip(again, found, strict=True):
            for key, value in theirs.to_json().items():
                assert getattr(mine, key) == (pytest.approx(value, abs=1e-5) if key in inexact else value), key


def test_replay_needs_no_data_and_shows_what_transfers(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attack(model_folder(), corpus, tmp_path / "there", "--attack_num_examples", "0") == 0
    results = tmp_path / "there" / "attack_results" / "synonym.jsonl"
    fooled = [record for record in read_records(results) if record.status == "succeeded"]
    capsys.readouterr()
    other, out = model_folder("distilbert"), tmp_path / "here"
    assert main(["attack", str(other), "--replay", str(results), "--output_dir", str(out)]) == 0
    assert "| replay_synonym | " in capsys.readouterr().out
    records = read_records(out / "attack_results" / "replay_synonym.jsonl")
    assert [record.idx for record in records] == [record.idx for record in fooled]
    summary = json.loads((out / "attack_summary.json").read_text())
    assert summary["results"]["replay_synonym"]["num_examples"] == len(fooled) and summary["asr_by_budget"] == {}
    assert read_history(out)[0]["accuracy"] != read_history(out)[0]["accuracy"]  # nan: no clean text was measured
    both = tmp_path / "both"
    assert attack(model_folder(), corpus, both, "--replay", str(results)) == 0
    again = read_records(both / "attack_results" / "replay_synonym.jsonl")
    assert [record.status for record in again] == ["succeeded"] * len(fooled)  # a model is fooled by its own texts


def test_a_file_of_texts_is_an_attack(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "advglue-sst2.csv"
    texts.write_text("sentence,label\n" + "".join(f"{row['sentence']},{row['label']}\n" for row in review_rows(9, 4)))
    out = tmp_path / "out"
    assert attack(model_folder(), corpus, out, attacks=(f"file:{texts}", "synonym")) == 0
    records = read_records(out / "attack_results" / "file_advglue_sst2.jsonl")
    assert len(records) == 9 and {record.queries for record in records} == {1}
    rates = read_history(out)[0]["attacks"]
    right = sum(record.original_prediction == record.label for record in records)
    assert rates["file_advglue_sst2"]["robust_accuracy"] == pytest.approx(right / 9)
    assert read_history(out)[0]["accuracy"] == rates["synonym"]["accuracy"]
    assert "| file_advglue_sst2 |" in capsys.readouterr().out


def test_pairs_are_plain_in_a_pipe_and_coloured_on_a_terminal(
    model_folder: Callable[..., Path],
    corpus: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.chdir(tmp_path)

    def printed(folder: str) -> str:
        assert attack(model_folder(), corpus, Path(folder)) == 0
        return capsys.readouterr().out.replace(folder, "FOLDER")

    plain = printed("piped")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    coloured = printed("terminal")
    assert "\x1b[" not in plain and "\x1b[32m" in coloured
    assert re.sub("\x1b\\[[0-9]+m", "", coloured) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed("uncoloured") == plain


def test_attack_gives_what_training_measured(corpus: dict[str, str], tmp_path: Path) -> None:
    data = review_data(rows=review_rows(30))
    trainer = build_trainer("normal", tmp_path / "run", eval_data=data)
    recipe = ATTACKS["synonym"](Resources(synonyms=table(SYNONYMS, "synonym")))
    examples = [Example(index, data.texts(index), int(data.label(index))) for index in range(30)]
    AttackCallback({"synonym": recipe}, examples).attach(trainer)
    trainer.train()
    trainer.save_model()
    assert attack(tmp_path / "run", corpus, tmp_path / "out", "--attack_num_examples", "0") == 0
    measured = read_history(tmp_path / "run")[-1]
    folder = f"epoch-{measured['epoch']:g}"
    theirs = read_records(tmp_path / "run" / "attack_results" / folder / "synonym.jsonl")
    ours = read_records(tmp_path / "out" / "attack_results" / "synonym.jsonl")
    assert [(r.idx, r.status, r.perturbed) for r in ours] == [(r.idx, r.status, r.perturbed) for r in theirs]
    mine = read_history(tmp_path / "out")[0]
    assert mine["accuracy"] == pytest.approx(measured["accuracy"])
    assert mine["attacks"]["synonym"]["asr"] == measured["attacks"]["synonym"]["asr"]


def test_second_run_measures_nothing_again(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert attack(model_folder(), corpus, out) == 0
    first = read_records(out / "attack_results" / "synonym.jsonl")
    # The attack is tried on a first text all the same.
    monkeypatch.setattr("hf_robust.wiring.checkpoint_attack.check_attack", lambda *_: None)
    monkeypatch.setattr("hf_robust.attacks.Victim.score", lambda *args: pytest.fail("measured again"))
    assert attack(model_folder(), corpus, out) == 0
    assert read_records(out / "attack_results" / "synonym.jsonl") == first


def test_adapters_are_attacked_too(corpus: dict[str, str], model_folder: Callable[..., Path], tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = AutoModelForSequenceClassification.from_pretrained(model_folder())
    adapters = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    peft.get_peft_model(base, adapters).save_pretrained(tmp_path / "adapter")
    AutoTokenizer.from_pretrained(model_folder()).save_pretrained(tmp_path / "adapter")
    assert attack(tmp_path / "adapter", corpus, tmp_path / "out", "--attack_num_examples", "6") == 0
    assert len(read_records(tmp_path / "out" / "attack_results" / "synonym.jsonl")) == 6


def test_attack_errors_are_one_line(
    model_folder: Callable[..., Path], corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModel

    def error_of(*more: str, model: Path | None = None, data: dict[str, str] = corpus) -> str:
        capsys.readouterr()
        assert attack(model or model_folder(), data, tmp_path / "out", *more) == 2
        message = capsys.readouterr().err.strip().splitlines()[-1]  # a progress bar may stand before it
        assert "hf-robust attack: " in message
        return message

    assert "cannot be loaded" in error_of(model=tmp_path / "nothing")
    headless = tmp_path / "headless"
    trained = AutoModel.from_pretrained(model_folder())
    trained.save_pretrained(headless)
    assert "has no trained classification head (missing: classifier" in error_of(model=headless)
    assert "has 3 classes" in error_of(model=model_folder(num_labels=3), data=corpus | _named(corpus, tmp_path))
    assert "must be among synonym" in error_of("--attacks", "nothing")
    assert "sentence2 is no text column" in error_of("--frozen_columns", "sentence2")


def _named(corpus: dict[str, str], folder: Path) -> dict[str, str]:
    """A folder with training rows of two classes, so that the classes come from the data."""
    data = folder / "data"
    data.mkdir()
    for split in ("train", "validation"):
        (data / f"{split}.jsonl").write_text(Path(corpus["reviews.jsonl"]).read_text())
    return {"reviews.jsonl": str(data)}


def test_attack_needs_attacks_and_data(
    model_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["attack", str(model_folder()), "--output_dir", str(tmp_path)]
    assert main([*call]) == 2
    assert "--attacks standard needs texts to attack: give them by --data." in capsys.readouterr().err
    assert main([*call, "--data", "x.csv", "--attack_backend", "textattack"]) == 2
    assert "no attack is named: give at least one by --attacks" in capsys.readouterr().err
    assert main([*call, "--attacks", "synonym"]) == 2
    assert "--attacks synonym needs texts to attack: give them by --data." in capsys.readouterr().err


def test_report_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, asr in (("one", 0.5), ("two", 0.25)):
        write_history_line(tmp_path / name, line(asr))
    runs = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert main(["report", *runs, "--output", str(tmp_path / "report")]) == 0
    printed = capsys.readouterr().out
    assert "| one |" in printed and "| two |" in printed and "| 50" in printed
    text = (tmp_path / "report" / "report.md").read_text()
    assert "![Clean accuracy and attack success rates of the published weights](comparison.png)" in text
    assert (tmp_path / "report" / "report.html").is_file() and (tmp_path / "report" / "comparison.png").is_file()


def test_report_refuses_runs_on_different_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        write_history_line(tmp_path / name, line(0.5))
        (tmp_path / name / "run_card.json").write_text(json.dumps({"data": {"fingerprint": name}}))
    runs = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert main(["report", *runs, "--output", str(tmp_path / "report")]) == 2
    assert "data fingerprint differs, 'one' and 'two'" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    assert main(["report", *runs, "--force"]) == 0
    assert "**Not comparable:**" in capsys.readouterr().out


def test_lexicon_build_and_lookup(corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = tmp_path / "words.txt"
    words.write_text("A Good film, nothing else.\n")
    output = tmp_path / "made" / "table.json.gz"
    build = ["lexicon", "build", corpus["synonyms.json"], "--output", str(output), "--vocabulary", str(words)]
    assert main(build) == 0
    assert read_table(output) == {word: SYNONYMS[word] for word in ("good", "film")}
    assert "2 words, 2.5 synonyms each" in capsys.readouterr().out
    assert main(["lexicon", "lookup", "Film", "unheard", "--lexicon", str(output)]) == 0
    assert capsys.readouterr().out == "Film: movie, picture\nunheard: (no synonym known)\n"


def test_lexicon_from_vectors(tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("near 1 0\nclose 0.9 0.1\nfar 0 1\n")
    assert main(["lexicon", "build", str(vectors), "--output", str(tmp_path / "t.json"), "--min_cosine", "0.9"]) == 0
    assert read_table(tmp_path / "t.json") == {"near": ["close"], "close": ["near"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lexicon", "lookup", "x", "--lexicon", "nothing"], "hf-robust lexicon: Unknown lexicon 'nothing'"),
        (["lexicon", "build", "builtin", "--output", "t.json", "--vocabulary", "none.txt"], "none.txt is not a file"),
        (["report", "/nowhere"], "hf-robust report: /nowhere/robustness_history.jsonl does not exist"),
    ],
)
def test_errors_are_one_line_and_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [["trigger", "m"], ["certify", "m"], ["challenge", "m"], ["lexicon", "split", "builtin"], ["interpret", "space"]],
)
@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_a_seed_that_no_generator_takes_is_refused(
    words: list[str], seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--seed", seed])
    assert f"argument --seed: must be at least 0 and below 4294967296, got {seed}" in capsys.readouterr().err


def test_commands_that_read_results_do_not_import_torch(tmp_path: Path) -> None:
    run, ranked = "examples/demo_runs/bat_triplet", "benchmarks/leaderboard/sst2-normal-seed1"
    commands = [["methods"], ["attacks"], ["check", run], ["report", run], ["reproduce", "--list"]]
    commands.append(["leaderboard", ranked, "--output", str(tmp_path / "board")])
    code = (
        "import json, sys, hf_robust.cli.main as c\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    assert c.main(words) in (0, 1) and 'torch' not in sys.modules, words"
    )
    subprocess.run([sys.executable, "-c", code, json.dumps(commands)], cwd=ROOT, check=True, timeout=60)


def test_a_wrong_command_is_refused() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["nothing"])
    assert stopped.value.code == 2
