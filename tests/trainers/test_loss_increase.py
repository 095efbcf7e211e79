"""The loss increase of every method with an adversary: its formula, its masks, and that it leaves training alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ascent_parts import (
    assert_same,
    gradients_of,
    loss_at,
    points_of,
    prepared,
    start_of,
    weights_after,
    zeros_of,
)
from tiny import build_model, build_trainer, dense_synonyms

from hf_robust.training.loss_increase import EVERY

WITH_ADVERSARY = (
    "fgm", "fgsm", "pgd", "freelb", "freelb_pp", "tavat", "smart", "trades", "infobert", "ascc", "dne",
    "adaptive_pgd", "adaptive_freelb", "adaptive_tavat",
)  # fmt: skip
STRONG: dict[str, Any] = {"adv_steps": 3, "adv_lr": 0.3, "adv_init_mag": 0.5}
WEAK: dict[str, Any] = {"adv_init_mag": 0.0, "adv_lr": 0.0, "adv_steps": 3}


def measured(trainer: Any, batch: Any) -> dict[str, float]:
    """What a step on the batch logs where one is due."""
    trainer.increase.every_step = True
    gradients_of(trainer, batch)
    found: dict[str, float] = trainer.means.take()
    return found


@pytest.mark.parametrize("name", WITH_ADVERSARY)
def test_every_method_with_an_adversary_logs_it(name: str, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, synonyms=dense_synonyms())
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert all({"clean_loss", "loss_increase"} <= entry.keys() for entry in entries)
    assert any(entry["loss_increase"] != 0.0 for entry in entries)
    mean = sum(entry["loss_increase"] for entry in entries) / len(entries)
    assert trainer.found_in_training()["loss_increase"] == pytest.approx(mean, abs=1e-6)


def test_a_method_without_an_adversary_logs_none(tmp_path: Path) -> None:
    trainer = build_trainer("normal", tmp_path)
    trainer.train()
    assert not any("loss_increase" in entry for entry in trainer.state.log_history)
    assert trainer.found_in_training() == {}


@pytest.mark.parametrize("name", ["pgd", "freelb", "adaptive_freelb", "fgm"])
def test_it_is_the_mean_loss_at_the_points_less_the_clean_one(name: str, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, **({"adv_eps": 0.7} if name == "fgm" else STRONG))
    points = points_of(trainer, batch)
    if name == "fgm":
        points = points[1:]  # its first pass is the clean text, which is no adversary's
    clean = loss_at(trainer, batch, zeros_of(trainer, batch)).item()
    expected = sum(loss_at(trainer, batch, point).item() for point in points) / len(points) - clean
    found = measured(trainer, batch)
    assert found["clean_loss"] == pytest.approx(clean, abs=1e-5)
    assert found["loss_increase"] == pytest.approx(expected, abs=1e-5)
    assert expected > 0.01


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("name", ["pgd", "freelb", "tavat", "adaptive_pgd"])
def test_dropout_is_not_in_it(name: str, same: bool, tmp_path: Path) -> None:
    options = {**WEAK, "use_global_embedding": False} if name == "tavat" else WEAK
    trainer, batch = prepared(name, tmp_path, **options, same_dropout=same, model=build_model(dropout=0.3))
    # Two masks give losses that differ by far more.
    assert measured(trainer, batch)["loss_increase"] == pytest.approx(0.0, abs=1e-6)


def test_freelb_without_dropout_asks_for_one_clean_pass(tmp_path: Path) -> None:
    for dropout, same, passes in ((0.3, True, 1), (0.3, False, 3), (0.0, False, 1)):
        trainer, batch = prepared("freelb", tmp_path, **STRONG, same_dropout=same, model=build_model(dropout=dropout))
        trainer.increase.every_step = True
        calls: list[int] = []
        trainer.model.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        gradients_of(trainer, batch)
        assert len(calls) == 3 + passes, (dropout, same)


@pytest.mark.parametrize("name", ["pgd", "freelb", "adaptive_freelb", "trades"])
def test_measuring_changes_no_weight(name: str, tmp_path: Path) -> None:
    """With dropout, so that a random number too many would tell."""
    runs = [
        weights_after(name, tmp_path / str(steps), model=build_model(dropout=0.3), logging_steps=steps)
        for steps in (1, 50)
    ]
    assert_same(*runs, 0.0)


@pytest.mark.parametrize(("logging_steps", "measured_steps"), [(1, 12), (4, 3), (50, 1)])
def test_measured_in_every_tenth_step_and_in_every_window_of_the_log(
    logging_steps: int, measured_steps: int, tmp_path: Path
) -> None:
    trainer = build_trainer("pgd", tmp_path, adv_steps=1, max_steps=12, logging_steps=logging_steps)
    calls: list[int] = []
    # In training mode: the question whether the model has left chance is asked in the other.
    trainer.model.register_forward_pre_hook(lambda module, *_: calls.extend([1] * module.training))
    trainer.train()
    assert EVERY == 10 and len(calls) == 12 * 2 + measured_steps
    windows = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert all("loss_increase" in entry for entry in windows)


def test_short_epochs_that_are_logged_have_it_too(tmp_path: Path) -> None:
    """Two steps an epoch."""
    trainer = build_trainer("pgd", tmp_path, adv_steps=1, max_steps=6, logging_strategy="epoch")
    trainer.train()
    windows = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(windows) == 3 and all("loss_increase" in entry for entry in windows)


def test_the_direct_objective_has_none(tmp_path: Path) -> None:
    model = build_model(attn_implementation="eager")
    trainer, batch = prepared("adaptive_pgd", tmp_path, model=model, adaptive_objective="direct")
    assert "loss_increase" not in measured(trainer, batch)


def test_equal_where_freelb_and_its_adaptive_form_are_equal_to_first_order(tmp_path: Path) -> None:
    """With one mask the increase at FreeLB's mean point is the mean increase of its points, however strong dropout."""
    gaps = []
    for alpha in (0.1, 0.01):
        options = {"adv_steps": 3, "adv_lr": alpha, "adv_init_mag": 0.0}
        found = []
        for name, more in {
            "freelb": {"include_initial": False},
            "adaptive_freelb": {"adaptive_init": "method"},
        }.items():
            trainer, batch = prepared(name, tmp_path, model=build_model(dropout=0.2), **options, **more)
            torch.manual_seed(7)
            found.append(measured(trainer, batch)["loss_increase"])
        assert start_of(trainer, batch).abs().max() == 0
        gaps.append(abs(found[0] - found[1]) / found[0])
    assert gaps[1] < 0.02 and gaps[1] < gaps[0] / 4
