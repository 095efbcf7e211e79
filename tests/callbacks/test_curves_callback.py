"""Curves during training: redrawn when the history grows, silent when there is none."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_robust.callbacks import CurvesCallback
from hf_robust.runs import write_history_line


def line(epoch: float) -> dict[str, object]:
    return {"epoch": epoch, "step": int(epoch), "accuracy": 0.5, "attacks": {"synonym": {"asr": 0.5}}}


def evaluate(callback: CurvesCallback, folder: Path, main: bool = True) -> None:
    args = TrainingArguments(output_dir=str(folder), report_to="none", use_cpu=True)
    callback.on_evaluate(args, TrainerState(is_world_process_zero=main), TrainerControl())


def test_nothing_measured_nothing_drawn(tmp_path: Path) -> None:
    evaluate(CurvesCallback(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_redrawn_only_when_the_history_has_grown(tmp_path: Path) -> None:
    callback, picture = CurvesCallback(), tmp_path / "tradeoff_curves.png"
    write_history_line(tmp_path, line(1.0))
    evaluate(callback, tmp_path)
    first = picture.read_bytes()
    picture.write_bytes(b"mine")
    evaluate(callback, tmp_path)
    assert picture.read_bytes() == b"mine"
    write_history_line(tmp_path, line(2.0))
    evaluate(callback, tmp_path)
    assert picture.read_bytes() not in (b"mine", first)
    assert (tmp_path / "tradeoff_curves.svg").is_file()


def test_end_of_training_draws_again(tmp_path: Path) -> None:
    callback = CurvesCallback()
    write_history_line(tmp_path, line(1.0))
    evaluate(callback, tmp_path)
    (tmp_path / "tradeoff_curves.png").unlink()
    args = TrainingArguments(output_dir=str(tmp_path), report_to="none", use_cpu=True)
    callback.on_train_end(args, TrainerState(), TrainerControl())
    assert (tmp_path / "tradeoff_curves.png").is_file()


def test_other_ranks_draw_nothing(tmp_path: Path) -> None:
    write_history_line(tmp_path, line(1.0))
    evaluate(CurvesCallback(), tmp_path, main=False)
    assert not (tmp_path / "tradeoff_curves.png").exists()


def test_broken_history_is_a_warning_in_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "robustness_history.jsonl").write_text("[]\n")
    with caplog.at_level(logging.WARNING):
        evaluate(CurvesCallback(), tmp_path)
    assert "The tradeoff curves were not drawn" in caplog.text


def test_broken_baseline_is_an_error_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist; give a run folder"):
        CurvesCallback([tmp_path])
