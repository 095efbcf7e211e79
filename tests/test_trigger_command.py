"""`hf-robust trigger`: the search against a naive one, rows kept apart, files, and what the gradient adds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import build_model, build_tokenizer, pair_rows, review_rows

from hf_robust.attacks import Example, Victim
from hf_robust.attacks.engine.losses import LOSSES
from hf_robust.attacks.universal_trigger import (
    _candidates,
    find_trigger,
    random_trigger,
    trigger_attack,
    with_trigger,
)
from hf_robust.cli.main import main
from hf_robust.runs import load_run, read_card, read_records

Model = Callable[..., Path]


@pytest.fixture(scope="module")
def target() -> Victim:
    return Victim(build_model(num_labels=3), build_tokenizer())


def rows_of(target: Victim, count: int = 24, columns: int = 1) -> list[Example]:
    """Texts of the class that the model predicts most often."""
    rows = pair_rows(200) if columns == 2 else review_rows(200)
    texts = [tuple(str(value) for value in list(row.values())[:columns]) for row in rows]
    predictions = target.probabilities(texts).argmax(-1)
    label = int(np.bincount(predictions).argmax())
    found = [columns for columns, predicted in zip(texts, predictions, strict=True) if predicted == label]
    return [Example(row, columns, label) for row, columns in enumerate(found[:count])]


def objective(target: Victim, rows: list[Example], words: str) -> float:
    """Mean of log(1 - p), one text at a time."""
    values = []
    for row in rows:
        *first, last = row.texts
        encoding = target.tokenizer(*([one] for one in (*first, f"{words} {last}")), return_tensors="pt")
        with torch.no_grad():
            p = target.model.eval()(**encoding).logits[0].double().softmax(-1)[row.label]
        values.append(math.log(1 - float(p)))
    return sum(values) / len(values)


def test_the_loss_is_the_logarithm_of_missing_the_label() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [30.0, 0.0, 0.0]], dtype=torch.float64)
    # Where the label is certain, 1 minus its probability would be rounding error.
    expected = sum(math.log(float(row.softmax(-1)[1:].sum())) for row in logits)
    assert float(LOSSES["miss"](logits, torch.tensor([0, 0]))) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("columns", [1, 2])
def test_candidates_are_those_of_the_mean_gradient(target: Victim, columns: int) -> None:
    rows = rows_of(target, 6, columns)
    label = rows[0].label
    words, table = ("the", "film"), target.model.get_input_embeddings().weight
    total = torch.zeros(2, table.shape[1])
    for row in rows:
        *first, last = row.texts
        encoding = target.tokenizer(*([one] for one in (*first, f"the film {last}")), return_tensors="pt")
        ids = encoding.pop("input_ids")
        embedded = table[ids].detach().requires_grad_()
        p = target.model.eval()(inputs_embeds=embedded, **encoding).logits[0].softmax(-1)[label]
        (1 - p).log().backward()
        start = 1 + (len(target.tokenizer(first[0])["input_ids"]) - 1 if first else 0)
        assert embedded.grad is not None
        total += embedded.grad[0, start : start + 2] / len(rows)
    target.model.zero_grad()
    estimates = total @ table[torch.tensor(target.vocabulary.ids)].detach().T
    expected = [[target.vocabulary.words[place] for place in row.topk(5).indices] for row in estimates]
    assert _candidates(target, rows, words, 5) == expected


def test_the_best_found_is_not_improved_by_a_candidate_of_any_place(target: Victim) -> None:
    rows = rows_of(target)
    for width in (1, 3):
        found = find_trigger(target, rows, length=2, candidates=6, width=width)
        assert found.objective == pytest.approx(objective(target, rows, found.words), abs=1e-5)
        assert found.objective > objective(target, rows, "the the") and found.queries == found.tried * len(rows)
        words = found.words.split()
        for place, flips in enumerate(_candidates(target, rows, words, 6)):
            for new in flips:
                other = " ".join([*words[:place], new, *words[place + 1 :]])
                assert objective(target, rows, other) <= found.objective + 1e-5


def test_it_finds_more_than_random_words_of_the_same_budget(target: Victim) -> None:
    rows = rows_of(target)
    found = [find_trigger(target, rows, length=3, candidates=5)]
    tried = found[0].tried
    controls = [random_trigger(target, rows, tried, seed) for seed in range(5)]
    assert all(control.tried == tried and control.queries == tried * len(rows) for control in controls)
    assert found[0].objective > np.mean([control.objective for control in controls])
    assert random_trigger(target, rows, tried, 0) == controls[0] != controls[1]


def test_a_record_adds_the_trigger_and_changes_no_word(target: Victim) -> None:
    from hf_robust.attacks import attack_dataset

    rows = rows_of(target, 5, 2)
    label = rows[0].label
    records = attack_dataset(trigger_attack("universal_trigger", {label: "bad film"}), target, rows, progress=False)
    for record, row in zip(records, rows, strict=True):
        assert record.perturbed == [row.texts[0], f"bad film {row.texts[1]}"] and record.queries == 2
        assert [change[1:] for change in record.changed] == [["", "bad"], ["", "film"]]
        assert with_trigger(row.texts, "bad film").columns == tuple(record.perturbed)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_are_kept_apart_and_files_agree(
    model_folder: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = model_folder(), tmp_path / "out"
    data = write(tmp_path / "data.jsonl", review_rows(60))
    flags = ["--data", str(data), "--find_examples", "8", "--trigger_words", "2", "--output_dir", str(out)]
    assert main(["trigger", str(model), *flags]) == 0
    printed = capsys.readouterr().out
    numbers = json.loads((out / "trigger.json").read_text())
    assert [one["label"] for one in numbers["classes"]] == [0, 1] and numbers["left_out"] >= 16
    assert (out / "trigger.md").read_text() in printed and f"{numbers['left_out']}." in printed
    for name in ("universal_trigger", "random_trigger"):
        records = read_records(out / "attack_results" / f"{name}.jsonl")
        assert len(records) + numbers["left_out"] == 60
        for one in numbers["classes"]:
            own = [record for record in records if record.label == one["label"]]
            assert (one["found_on"], one["measured"]) == (8, len(own)) and len(one[name]["words"].split()) == 2
            kept = sum(record.status == "failed" for record in own)
            assert one[name]["accuracy"]["value"] == pytest.approx(kept / len(own))
            assert one[name]["accuracy"]["low"] <= kept / len(own) <= one[name]["accuracy"]["high"]
            assert all(record.perturbed[0].startswith(one[name]["words"]) for record in own if record.queries == 2)
    assert read_card(out)["data"]["left_out"] == numbers["left_out"]
    assert set(load_run(out).published["attacks"]) == {"universal_trigger", "random_trigger"}
    again = tmp_path / "again"
    assert main(["trigger", str(model), *flags[:-1], str(again)]) == 0
    assert json.loads((again / "trigger.json").read_text()) == numbers


def test_rows_of_other_data_whose_texts_are_shared_are_not_measured(
    model_folder: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, rows = model_folder(), review_rows(30)
    data, other = write(tmp_path / "data.jsonl", rows), write(tmp_path / "other.jsonl", rows[:6] + review_rows(6, 9))
    flags = ["--find_data", str(other), "--find_examples", "20", "--trigger_words", "1", "--num_examples", "12"]
    assert main(["trigger", str(model), "--data", str(data), *flags, "--output_dir", str(tmp_path / "out")]) == 0
    numbers = json.loads((tmp_path / "out" / "trigger.json").read_text())
    assert numbers["left_out"] == 6 and sum(one["measured"] for one in numbers["classes"]) == 12
    assert [one["found_on"] for one in numbers["classes"]] == [6, 6]
    measured = {record.original[0] for record in read_records(tmp_path / "out/attack_results/random_trigger.jsonl")}
    assert measured.isdisjoint(row["sentence"] for row in rows[:6])
    capsys.readouterr()
    flags = ["--data", str(data), "--find_data", str(data), "--output_dir", str(tmp_path / "none")]
    assert main(["trigger", str(model), *flags]) == 2
    assert "is left to measure: triggers were found on the texts of all 30" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trigger_words", "0"], "--trigger_words must be at least 1, got 0."),
        (["--find_examples", "0"], "--find_examples must be at least 1, got 0."),
    ],
)
def test_wrong_input_is_one_sentence(
    model_folder: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    data = write(tmp_path / "data.jsonl", review_rows(12))
    assert (
        main(["trigger", str(model_folder()), "--data", str(data), "--output_dir", str(tmp_path / "o"), *flags]) == 2
    )
    assert capsys.readouterr().err == f"hf-robust trigger: {message}\n"


def test_a_class_of_one_row_and_an_attack_by_that_name_are_refused(
    model_folder: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in review_rows(12) if row["label"]] + [{"sentence": "bad film", "label": 0}]
    data = write(tmp_path / "data.jsonl", rows)
    assert main(["trigger", str(model_folder()), "--data", str(data), "--output_dir", str(tmp_path / "o")]) == 2
    assert "needs at least 2 rows of it, and" in capsys.readouterr().err
    flags = ["--data", str(data), "--attacks", "universal_trigger", "--output_dir", str(tmp_path / "o")]
    assert main(["attack", str(model_folder()), *flags]) == 2
    assert "universal_trigger; a universal trigger is found by `hf-robust trigger`" in capsys.readouterr().err
