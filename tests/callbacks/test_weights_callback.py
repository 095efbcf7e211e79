"""The weights of an adaptive method during training: written where they are logged, whole after a resume.

Curves during training: redrawn when the history grows, silent when there is none.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import build_model, build_trainer, review_rows
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_robust.callbacks import AdversaryWeightsCallback, CurvesCallback
from hf_robust.runs import read_adversary_weights, write_history_line

pytestmark = pytest.mark.slow


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


FILES = ["adversary_weights.jsonl", "adversary_weights.png", "adversary_weights.svg"]


def run(folder: Path, name: str = "adaptive_pgd", resume: str | None = None, **options: Any) -> Any:
    options = {"adv_steps": 3, "max_steps": 4, "model": build_model(dropout=0.1), **options}
    trainer = build_trainer(name, folder, callbacks=[AdversaryWeightsCallback()], **options)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


@pytest.mark.parametrize("name", ["adaptive_pgd", "adaptive_freelb", "adaptive_tavat"])
def test_every_logged_step_is_a_line_of_weights_on_the_simplex(name: str, tmp_path: Path) -> None:
    trainer = run(tmp_path, name)
    assert files(tmp_path) == FILES
    lines = read_adversary_weights(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        assert len(line["w"]) == 3 and sum(line["w"]) == pytest.approx(1.0, abs=1e-5) and min(line["w"]) >= 0
    assert lines[0]["w"] == pytest.approx([1 / 3] * 3)
    logged = [entry for entry in trainer.state.log_history if "w_2" in entry]
    assert [line["w"][1] for line in lines] == [entry["w_2"] for entry in logged]
    assert [line["entropy"] for line in lines] == [entry["w_entropy"] for entry in logged]


def test_linearisation_has_a_picture_of_its_own(tmp_path: Path) -> None:
    run(tmp_path, log_linearisation_error=True)
    assert files(tmp_path) == [*FILES, "linearisation.png", "linearisation.svg"]
    for line in read_adversary_weights(tmp_path):
        assert line["linearised_loss"] > 0
        assert line["loss"] == pytest.approx(line["clean_loss"] + line["loss_increase"], abs=2e-4)


@pytest.mark.parametrize(("w_lr", "said"), [(1e-6, True), (0.0, False), (50.0, False)])
def test_weights_that_hardly_moved_the_perturbation_are_said_at_the_end(
    w_lr: float, said: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        trainer = run(tmp_path, w_lr=w_lr, adv_lr=0.3)
    found = [record.getMessage() for record in caplog.records if "moved the perturbation" in record.getMessage()]
    assert len(found) == said
    if said:
        assert "of its norm (--w_lr 1e-06)" in found[0] and "frozen weights (--w_lr 0). Raise --w_lr" in found[0]
    assert (trainer.measured_in_training()["point_moved"] >= 0.01) == (w_lr == 50.0)


def test_a_resumed_run_keeps_the_earlier_lines(tmp_path: Path) -> None:
    run(tmp_path / "whole", save_strategy="steps", save_steps=2)
    checkpoint = tmp_path / "whole" / "checkpoint-2"
    run(tmp_path / "again", resume=str(checkpoint), save_strategy="steps", save_steps=2)
    assert read_adversary_weights(tmp_path / "again") == read_adversary_weights(tmp_path / "whole")


def test_written_while_training_goes_on(tmp_path: Path) -> None:
    seen: list[int] = []

    class Look(AdversaryWeightsCallback):
        def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
            super().on_epoch_end(*args, **kwargs)
            seen.append(len(read_adversary_weights(tmp_path)))

    build_trainer("adaptive_pgd", tmp_path, callbacks=[Look()], max_steps=4).train()
    assert seen == [2, 4]


def test_nothing_logged_is_said_once_and_nothing_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run(tmp_path / "no", logging_strategy="no")
        run(tmp_path / "late", logging_steps=50)
    said = [record.getMessage() for record in caplog.records if "adversary's weights" in record.getMessage()]
    assert len(said) == 2
    assert "--logging_strategy no" in said[0] and "every 50 steps and the run has 4; lower --logging_steps" in said[1]
    assert files(tmp_path / "no") == files(tmp_path / "late") == []


def test_a_method_without_weights_leaves_nothing(tmp_path: Path) -> None:
    run(tmp_path, "pgd")
    assert files(tmp_path) == []


def test_weights_of_an_earlier_run_go_when_a_new_one_begins(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, logging_strategy="no")
    assert files(tmp_path) == []


def test_a_picture_that_fails_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("hf_robust.callbacks.weights.draw_adversary_weights", fail)
    with caplog.at_level(logging.WARNING):
        run(tmp_path)
    assert "The adversary's weights were not drawn: disk full" in caplog.text
    assert len(read_adversary_weights(tmp_path)) == 4


@pytest.mark.parametrize(("method", "wanted"), [("adaptive_freelb", FILES), ("freelb", [])])
def test_through_the_script(
    method: str, wanted: list[str], model_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from run_glue_robust import main

    rows = tmp_path / "train.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in review_rows(8)))
    flags = {"model_name_or_path": model_folder(), "train_file": rows, "validation_file": rows, "output_dir": tmp_path}
    flags |= {"robust_method": method, "max_steps": 2, "logging_steps": 1, "report_to": "none", "adv_steps": 2}
    monkeypatch.setattr(sys, "argv", ["run_glue_robust.py"])
    main(["--do_train", "--use_cpu", *(str(part) for key, value in flags.items() for part in (f"--{key}", value))])
    assert [name for name in files(tmp_path) if name.startswith("adversary")] == wanted
