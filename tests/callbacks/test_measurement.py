"""Two measurements of one trainer: one evaluation, one history line, in any order, and training notices neither."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from certified import ROWS, attach_attacks, attach_certificates, trainer_of
from safetensors.torch import load_file
from tiny import build_model
from transformers import EarlyStoppingCallback

from hf_robust.callbacks import RunCardCallback
from hf_robust.runs import clear_results, load_run, read_certificates, read_history, read_records

ATTACH = {"attacks": attach_attacks, "certificates": attach_certificates}


def both(folder: Path, order: tuple[str, str] = ("attacks", "certificates"), **options: Any) -> Any:
    trainer = trainer_of(folder, **options)
    for name in order:
        ATTACH[name](trainer)
    return trainer


def evaluations(trainer: Any) -> list[dict[str, Any]]:
    return [entry for entry in trainer.state.log_history if "eval_loss" in entry]


@pytest.mark.parametrize("order", [("attacks", "certificates"), ("certificates", "attacks")])
@pytest.mark.parametrize("eval_strategy", ["no", "epoch"])
def test_one_line_and_one_evaluation_an_epoch(
    order: tuple[str, str], eval_strategy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = both(tmp_path, order, eval_strategy=eval_strategy)
    trainer.train()
    history, entries = read_history(tmp_path), evaluations(trainer)
    assert [line["epoch"] for line in history] == [1.0, 2.0] and len(entries) == 2
    for line, entry in zip(history, entries, strict=True):
        assert entry["eval_synonym_asr"] == pytest.approx(line["attacks"]["synonym"]["asr"], nan_ok=True)
        assert entry["eval_certified_accuracy"] == line["certified"]["certified_accuracy"]
        assert line["certified"]["num_examples"] == line["attacks"]["synonym"]["num_examples"] == ROWS
        epoch = f"epoch-{line['epoch']:g}"
        assert len(read_records(tmp_path / "attack_results" / epoch / "synonym.jsonl")) == ROWS
        assert len(read_certificates(tmp_path / "certificates" / f"{epoch}.jsonl")) == ROWS
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert len(printed) == 2 and all("synonym: ASR" in one and "certified accuracy" in one for one in printed)


def test_training_notices_neither(tmp_path: Path) -> None:
    weights = []
    for name in ("both", "none"):
        trainer = trainer_of(tmp_path / name, model=build_model(dropout=0.2), num_train_epochs=3)
        if name == "both":
            attach_attacks(trainer, votes=5)
            attach_certificates(trainer)
        trainer.train()
        weights.append(trainer.model.state_dict())
    assert len(read_history(tmp_path / "both")) == 3
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_each_has_its_own_strategy(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    attach_attacks(trainer)
    attach_certificates(trainer, strategy="end")
    trainer.train()
    assert ["certified" in line for line in read_history(tmp_path)] == [False, True]
    assert ["eval_certified_accuracy" in entry for entry in evaluations(trainer)] == [False, True]
    silent = trainer_of(tmp_path / "silent")
    attach_certificates(silent, strategy="no")
    silent.train()
    assert "eval_certified_accuracy" not in silent.evaluate() and not (tmp_path / "silent" / "certificates").exists()


@pytest.mark.parametrize("first", [True, False])
def test_certified_accuracy_chooses_the_best_model(
    first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By epoch 0.3 0.5 0.4: the third is no better, so patience 1 stops there and epoch 2 is the best."""
    trainer = trainer_of(
        tmp_path,
        num_train_epochs=5,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_certified_accuracy",
        callbacks=[EarlyStoppingCallback(1)] if first else None,
    )
    rates = iter([0.3, 0.5, 0.4, 0.6])
    certifier = attach_certificates(trainer)
    measure = certifier._measure

    def measured(output: Any) -> Any:
        part = measure(output)
        output.metrics["eval_certified_accuracy"] = next(rates)
        return part

    monkeypatch.setattr(certifier, "_measure", measured)
    attach_attacks(trainer)
    if not first:
        trainer.add_callback(EarlyStoppingCallback(1))
    trainer.train()
    assert trainer.state.epoch == 3.0 and trainer.state.best_metric == 0.5
    assert Path(trainer.state.best_model_checkpoint).name == "checkpoint-4"


def test_kept_weights_get_what_their_line_lacks(tmp_path: Path) -> None:
    """Attacked every epoch and certified at the end, with the first epoch's weights kept: its line gets both."""
    trainer = trainer_of(
        tmp_path,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_chosen",
        callbacks=[RunCardCallback({}, {}, {}, "normal")],
    )
    evaluation_loop, scores = trainer.evaluation_loop, iter([0.9, 0.1, 0.1])

    def scored(*args: Any, **kwargs: Any) -> Any:
        output = evaluation_loop(*args, **kwargs)
        output.metrics["eval_chosen"] = next(scores)
        return output

    vars(trainer)["evaluation_loop"] = scored
    attach_attacks(trainer)
    attach_certificates(trainer, strategy="end")
    trainer.train()
    trainer.save_state()
    before = read_history(tmp_path)
    assert ["certified" in line for line in before] == [False, True]
    metrics = trainer.evaluate()
    history = read_history(tmp_path)
    assert history[1] == before[1] and {**history[0], "certified": None} == {**before[0], "certified": None}
    assert load_run(tmp_path).published["certified"]["certified_accuracy"] == metrics["eval_certified_accuracy"]
    assert sorted(path.name for path in (tmp_path / "certificates").iterdir()) == ["epoch-1.jsonl", "epoch-2.jsonl"]


def test_resume_measures_nothing_again_and_a_new_run_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"save_strategy": "epoch", "eval_strategy": "epoch"}
    both(tmp_path, **options).train()
    whole = read_history(tmp_path)
    resumed = both(tmp_path, **options)
    calls: Counter[str] = Counter()
    resumed.model.register_forward_pre_hook(lambda module, *_: calls.update(["eval" * (not module.training)]))
    # The attack is tried on a first text all the same.
    monkeypatch.setattr("hf_robust.callbacks.attack.check_attack", lambda *_: None)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert read_history(tmp_path) == whole and calls["eval"] == 2  # 12 rows in batches of 8, and no draw or query
    both(tmp_path, num_train_epochs=1).train()
    assert [path.name for path in (tmp_path / "certificates").iterdir()] == ["epoch-1.jsonl"]
    clear_results(str(tmp_path))
    assert not (tmp_path / "certificates").exists() and not (tmp_path / "robustness_history.jsonl").exists()


def test_other_weights_evaluated_without_training_share_no_line(tmp_path: Path) -> None:
    """Step 0 says nothing about whose weights were loaded: what an earlier process measured may be of others."""
    first = trainer_of(tmp_path, model=build_model(seed=1))
    attach_attacks(first)
    first.evaluate()
    second = trainer_of(tmp_path, model=build_model(seed=2), compute_metrics=lambda given: {"accuracy": 0.123})
    attach_certificates(second)
    metrics = second.evaluate()
    (line,) = read_history(tmp_path)
    assert line["attacks"] == {} and line["accuracy"] == 0.123
    assert line["certified"]["certified_accuracy"] == metrics["eval_certified_accuracy"]
    attach_attacks(second)
    second.evaluate()
    (line,) = read_history(tmp_path)
    assert line["attacks"] and line["certified"]["certified_accuracy"] == metrics["eval_certified_accuracy"]


def test_a_training_runs_history_that_is_not_added_to_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attach_attacks(trained := trainer_of(tmp_path, num_train_epochs=1))
    trained.train()
    before = read_history(tmp_path)
    attach_certificates(loaded := trainer_of(tmp_path))
    assert "eval_certified_accuracy" in loaded.evaluate()
    assert read_history(tmp_path) == before
    assert "the measurement (certified) is only in the metrics; pass another --output_dir" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("the masked language model is gone"), KeyboardInterrupt()])
@pytest.mark.parametrize("save_strategy", ["no", "epoch"])
@pytest.mark.parametrize("name", ["attacks", "certificates"])
def test_what_was_trained_is_saved_before_an_error_ends_the_training(
    name: str, save_strategy: str, error: BaseException, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = both(tmp_path / "whole", num_train_epochs=2)
    whole.train()
    broken = trainer_of(tmp_path / "broken", num_train_epochs=2, save_strategy=save_strategy)
    measurement = ATTACH[name](broken)

    def fails(output: Any) -> Any:
        raise error

    measurement._measure = fails
    with pytest.raises(type(error)):
        broken.train()
    step = broken.state.global_step
    assert f"saved as checkpoint-{step}" in caplog.text and step < whole.state.global_step
    resumed = both(tmp_path / "broken", num_train_epochs=2)
    resumed.train(resume_from_checkpoint=str(tmp_path / "broken" / f"checkpoint-{step}"))
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key])


@pytest.mark.parametrize("name", ["attacks", "certificates"])
def test_the_trained_model_is_on_disk_while_it_is_measured_for_the_last_time(name: str, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, num_train_epochs=2, save_strategy="no")
    measurement = ATTACH[name](trainer)
    measure, saved = measurement._measure, []

    def looks(output: Any) -> Any:
        file = tmp_path / "model.safetensors"
        saved.append(load_file(file) if file.exists() else None)
        return measure(output)

    measurement._measure = looks
    trainer.train()
    first, last = saved
    assert first is None  # the Trainer's checkpoints are for the epochs before
    assert last.keys() == trainer.model.state_dict().keys()
    assert all(torch.equal(value, last[key]) for key, value in trainer.model.state_dict().items())


def test_an_error_outside_training_saves_nothing(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    measurement = attach_attacks(trainer)

    def fails(output: Any) -> Any:
        raise RuntimeError

    measurement._measure = fails
    with pytest.raises(RuntimeError):
        trainer.evaluate()
    assert not list(tmp_path.glob("checkpoint-*"))
