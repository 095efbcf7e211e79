"""`hf-robust interpret errors` with two models and texts, without any attack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_tokenizer, pair_rows
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from hf_robust.attacks import Example, Victim, attack_dataset
from hf_robust.attacks.static import labelled_file
from hf_robust.cli.main import main
from hf_robust.data import TextDataset
from hf_robust.runs import write_records

pytestmark = pytest.mark.slow

NAMES = ["entailment", "neutral", "contradiction"]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """The exit code, what is printed, and the error."""

    def run(*flags: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["interpret", "errors", *map(str, flags)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{**row, "label": NAMES[row["label"]]} for row in pair_rows(48)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def saved(folder: Path, seed: int, order: tuple[int, ...] = (0, 1, 2)) -> Path:
    """A classifier whose class i is class order[i] of the one of the same seed in the usual order."""
    names = [NAMES[index] for index in order]
    ids = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    model = build_model(num_labels=3, seed=seed, **ids)
    with torch.no_grad():
        for tensor in (model.classifier.weight, model.classifier.bias):
            tensor.copy_(tensor[list(order)])
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def test_loss_and_accuracy_are_those_of_the_trainers_evaluation(tmp_path: Path, data: Path, call: Call) -> None:
    models = {"baseline": saved(tmp_path / "old", 0), "new": saved(tmp_path / "new", 1)}
    flags = [part for flag, model in models.items() for part in (f"--{flag}", model)]
    code, printed, _ = call(*flags, "--data", data, "--output_dir", tmp_path / "out")
    assert code == 0
    written = json.loads((tmp_path / "out" / "errors.json").read_text())
    rows = TextDataset(pair_rows(48), ("sentence1", "sentence2"), build_tokenizer(), max_length=64)
    for seed, (flag, found) in enumerate(written["models"].items()):
        trainer = Trainer(
            model=build_model(num_labels=3, seed=seed),
            args=TrainingArguments(output_dir=str(tmp_path / "t"), report_to="none", use_cpu=True, disable_tqdm=True),
            data_collator=DataCollatorWithPadding(build_tokenizer()),
            compute_metrics=lambda given: {
                "accuracy": float((given.predictions.argmax(-1) == given.label_ids).mean())
            },
        )
        expected = trainer.evaluate(rows)
        assert found["loss"] == pytest.approx(expected["eval_loss"], rel=1e-5)
        assert found["accuracy"] == expected["eval_accuracy"] and found["num_examples"] == 48
        assert found["texts_per_second"] == pytest.approx(8 * found["steps_per_second"])
        assert found["accuracy"] == written["slices"]["all"][f"{flag}_accuracy"]
        assert f"| {flag} | {models[flag].name} | 48 | {found['loss']:.4f} [" in printed
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *(f"classes.{end}" for end in ("png", "svg")), *(f"errors.{end}" for end in ("json", "md", "png", "svg")),
    ]  # fmt: skip
    assert str(tmp_path) not in (tmp_path / "out" / "errors.json").read_text()


def test_models_and_the_records_of_their_runs_give_the_same_tables(tmp_path: Path, data: Path, call: Call) -> None:
    models = [saved(tmp_path / "old", 0), saved(tmp_path / "new", 1)]
    rows = [Example(i, (row["sentence1"], row["sentence2"]), row["label"]) for i, row in enumerate(pair_rows(48))]
    files = []
    for seed in (0, 1):
        victim = Victim(build_model(num_labels=3, seed=seed), build_tokenizer(), max_length=64)
        files.append(tmp_path / f"{seed}.jsonl")
        write_records(files[-1], attack_dataset(labelled_file("file", "", rows), victim, rows, progress=False))
    outs = [tmp_path / "by_models", tmp_path / "by_files"]
    call("--baseline", models[0], "--new", models[1], "--data", data, "--output_dir", outs[0])
    call("--baseline", files[0], "--new", files[1], "--output_dir", outs[1])
    first, second = (json.loads((out / "errors.json").read_text())["slices"] for out in outs)
    assert first == second


def test_classes_are_compared_by_name(tmp_path: Path, data: Path, call: Call) -> None:
    baseline, new = saved(tmp_path / "old", 0), saved(tmp_path / "new", 1)
    turned = saved(tmp_path / "turned", 1, (2, 0, 1))
    tables = [
        call("--baseline", baseline, "--new", model, "--data", data)[1].partition("| slice")[2]
        for model in (new, turned)
    ]
    assert tables[0] == tables[1] and "| all | neutral | new |" in tables[0]
    same = call("--baseline", new, "--new", turned, "--data", data)[1]
    assert "| 0 | 0 |" in next(line for line in same.splitlines() if line.startswith("| all | 48 |"))


def test_slices_of_the_users_own_stand_beside_ours(tmp_path: Path, data: Path, call: Call) -> None:
    model, own = saved(tmp_path / "old", 0), tmp_path / "slices.json"
    own.write_text(
        json.dumps({"films": ["film", "movie"], "none": ["zebra"], "short": {"pattern": r"^\w+ \w+ \w+\.$"}})
    )
    flags = ["--baseline", model, "--new", saved(tmp_path / "new", 1), "--data", data, "--slices", own]
    _, printed, _ = call(*flags, "--output_dir", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "errors.json").read_text())["slices"]
    assert list(found) == ["all", "negation", "ambiguity", "long", "films", "none", "short"]
    texts = [row["sentence1"].rstrip(".").split() + row["sentence2"].rstrip(".").split() for row in pair_rows(48)]
    assert found["films"]["num_examples"] == sum(bool({"film", "movie"} & {*words}) for words in texts) > 0
    short = [min(len(row[f"sentence{number}"].split()) for number in (1, 2)) == 3 for row in pair_rows(48)]
    assert json.loads((tmp_path / "out" / "errors.json").read_text())["own_slices"]["none"] == ["zebra"]
    assert found["short"]["num_examples"] == sum(short) > 0
    assert "No text is in the slice 'negation', 'ambiguity', 'long', 'none'." in printed
    own.write_text(json.dumps({"long": ["film"]}))
    assert "slices.json has the name 'long', which is a built-in slice" in call(*flags)[2]
    own.write_text(json.dumps({"films": "film"}))
    assert "slices.json: the slice 'films' must be a list of words" in call(*flags)[2]
    own.write_text('{"a": ["film"], "a": ["plot"]}')
    assert "slices.json cannot be read: the name 'a' occurs twice" in call(*flags)[2]
    own.write_text("[1")
    assert "slices.json cannot be read: Expecting" in call(*flags)[2]
    own.write_text("[]")
    assert "must be a JSON object of slices by name, got []" in call(*flags)[2]
    assert "none.json is not a file" in call(*flags[:-1], tmp_path / "none.json")[2]


def test_a_model_that_trained_on_evaluation_texts_is_marked(tmp_path: Path, data: Path, call: Call) -> None:
    """The paper's own model did: its 94.11 % are of texts that it was trained on, masked."""
    old, new = saved(tmp_path / "old", 0), saved(tmp_path / "new", 1)
    card = {"method": "gradient_mask", "final_step": 3, "views": [{"split": "validation", "leaked": True}]}
    (new / "run_card.json").write_text(json.dumps(card))
    _, printed, _ = call("--baseline", old, "--new", new, "--data", data)
    assert (
        "new: Leaked: the model was trained on texts of the validation split" in printed
        and "baseline: Leaked" not in printed
    )
    assert "| new | gradient_mask | 48 |" in printed


def test_fewer_texts_are_the_same_ones_for_both(tmp_path: Path, data: Path, call: Call) -> None:
    model = saved(tmp_path / "old", 0)
    flags = ["--baseline", model, "--new", model, "--data", data, "--num_examples", 20]
    tables = [call(*flags, "--seed", seed, "--batch_size", 7)[1].partition("| slice")[2] for seed in (1, 1, 2)]
    assert "| all | 20 |" in tables[0] and tables[0] == tables[1] != tables[2]


def test_what_does_not_go_together_is_one_sentence(tmp_path: Path, data: Path, call: Call) -> None:
    model = saved(tmp_path / "old", 0)

    def refused(message: str, *flags: Any) -> None:
        code, _, error = call(*flags)
        assert code == 2 and message in error and len(error.splitlines()) == 1

    both = ["--baseline", model, "--new", model]
    refused("give such a file, or a model and --data", *both)
    refused("--batch_size is used with --data only: add --data", *both, "--batch_size", 3)
    refused("--split is used with --data only", *both, "--split", "test")
    refused("--batch_size must be at least 1, got 0", *both, "--data", data, "--batch_size", 0)
    records = tmp_path / "records.jsonl"
    records.write_text("")
    refused("is a file, and with --data it must be a folder or Hub id", *both[:3], records, "--data", data)
