"""A folder that is used again: nothing that an earlier run left there is taken for what this one measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny import build_model, build_tokenizer, review_rows

from hf_robust.runs import METRICS_FILE, load_run, read_card, read_history, read_json
from run_glue_robust import main as train

ATTACK = ["--attacks", "synonym", "--lexicon", "builtin", "--pos_tagger", "none"]
PICTURES = ("tradeoff_curves.png", "tradeoff_curves.svg")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its data and a training of two epochs (two steps each) that was attacked."""
    place = tmp_path_factory.mktemp("again")
    build_model(dropout=0.1).save_pretrained(place / "start")
    build_tokenizer().save_pretrained(place / "start")
    (place / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in review_rows(16)))
    run_script(place, place / "run", "--num_train_epochs", "2", *ATTACK)
    return place


@pytest.fixture
def run(place: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(place / "run", tmp_path / "run"))


def run_script(place: Path, out: Path, *more: str, model: Path | None = None, trains: bool = True) -> None:
    files = [word for split in ("train", "validation") for word in (f"--{split}_file", str(place / "reviews.jsonl"))]
    flags = ["--max_seq_length", "32", "--use_cpu", "--report_to", "none", "--save_strategy", "epoch", "--do_eval"]
    flags += ["--model_name_or_path", str(model or place / "start"), "--output_dir", str(out)]
    train([*files, *flags, *(["--do_train"] if trains else []), *more])


def attack_metrics(folder: Path) -> list[str]:
    return [name for name in read_json(folder / METRICS_FILE) if "synonym" in name]


def test_going_on_from_a_checkpoint_forgets_what_was_measured_after_it(place: Path, run: Path) -> None:
    first, _ = read_history(run)
    (checkpoint, _) = sorted(run.glob("checkpoint-*"))
    assert attack_metrics(run)
    on = ["--resume_from_checkpoint", str(checkpoint), "--learning_rate", "0.1", "--num_train_epochs", "2"]
    run_script(place, run, *on)
    assert read_history(run) == [first] and not attack_metrics(run)
    assert [path.name for path in (run / "attack_results").iterdir()] == ["epoch-1"]
    assert not load_run(run).measured_exactly  # of the last weights nothing is known


def test_a_new_training_without_attacks_leaves_no_rate_and_no_picture_of_the_last(place: Path, run: Path) -> None:
    assert attack_metrics(run) and all((run / name).is_file() for name in PICTURES)
    run_script(place, run, "--num_train_epochs", "1")
    assert read_json(run / METRICS_FILE)["eval_samples"] == 16 and not attack_metrics(run)
    assert not any((run / name).exists() for name in (*PICTURES, "robustness_history.jsonl", "attack_results"))


def test_a_broken_history_ends_a_run_that_would_go_on_with_it_before_it_trains(place: Path, run: Path) -> None:
    lines = (run / "robustness_history.jsonl").read_text().splitlines(keepends=True)
    (run / "robustness_history.jsonl").write_text(f'{{"epoch": 1.0, "st\n{lines[1]}')
    card = read_card(run)
    on = ["--resume_from_checkpoint", str(run / "checkpoint-2"), "--num_train_epochs", "2"]
    with pytest.raises(ValueError, match="robustness_history.jsonl, line 1: not JSON"):
        run_script(place, run, *on, *ATTACK)
    assert read_card(run) == card


def test_what_was_trained_is_saved_where_the_history_cannot_be_written(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("hf_robust.runs.history.write_json_lines", full)
    with pytest.raises(OSError, match="No space left"):
        run_script(place, tmp_path, "--num_train_epochs", "2", *ATTACK)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]


def test_an_evaluation_in_the_folder_of_a_training_leaves_its_model_card(
    place: Path, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = (run / "README.md").read_text()
    assert "learning_rate: 5e-05" in card and "num_epochs: 2" in card
    run_script(place, run, "--learning_rate", "0.1", "--num_train_epochs", "7", model=run, trains=False)
    assert (run / "README.md").read_text() == card
    assert "is of a training run, and nothing was trained now: it stays as it is." in caplog.text


def test_a_model_has_no_twin_of_an_earlier_run_beside_it(place: Path, run: Path) -> None:
    build_model(seed=5).save_pretrained(run / "_twin")
    run_script(place, run, "--num_train_epochs", "1")
    assert (run / "model.safetensors").is_file() and not (run / "_twin").exists()
