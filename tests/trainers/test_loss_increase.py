"""The loss increase of every method with an adversary: formula, dropout masks, unchanged training.

Also the logged means: over steps, valid rows and ranks; and the logged values of methods with views.
"""

from __future__ import annotations

import math
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
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import build_model, build_trainer, dense_synonyms, review_data, review_rows, table

from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.first_step import TryFirstStep
from hf_robust.training.loss_increase import EVERY
from hf_robust.training.task_loss import StepMeans

VIEWS = [name for name, method in METHODS.items() if method.view_sources is not RobustTrainer.view_sources]

steps = st.lists(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=1, max_size=4), min_size=1, max_size=6)


@given(steps, st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_means_are_those_of_all_steps_or_of_all_valid_values(rows: list[list[tuple[float, bool]]], cut: int) -> None:
    means, ranks = StepMeans(), (StepMeans(), StepMeans())
    for number, row in enumerate(rows):
        values = torch.tensor([value for value, _ in row])
        valid = torch.tensor([float(ok) for _, ok in row])
        for one in (means, ranks[number >= cut]):
            one.add("step", values)
            one.add("valid", values, valid)
    good = [value for row in rows for value, ok in row if ok]
    expected = {"step": sum(sum(value for value, _ in row) / len(row) for row in rows) / len(rows)}
    if good:
        expected["valid"] = sum(good) / len(good)
    sums: list[torch.Tensor] = []
    if 0 < cut < len(rows):  # each rank has values
        ranks[0].take(lambda own: (sums.append(own), own)[1])
        assert ranks[1].take(lambda own: own + sums[0]) == pytest.approx(expected, abs=1e-4)
    assert means.take() == pytest.approx(expected, abs=1e-4) and means.take() == {}


@pytest.mark.parametrize("name", VIEWS)
def test_every_method_with_views_logs_the_share_of_rows_that_have_one(name: str, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, max_steps=4, logging_steps=2, max_grad_norm=1.0, learning_rate=1e-3)
    seen: dict[str, list[float]] = {}
    step = trainer.training_step  # not compute_loss, which is also tried once before views are made

    def watched(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        for view in trainer.view_names:
            seen.setdefault(view, []).append(inputs[f"{view}_ok"].mean().item())
        return step(model, inputs, *args, **kwargs)

    trainer.training_step = watched  # type: ignore[method-assign]
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert trainer.view_names and len(entries) == 2
    for view in trainer.view_names:
        expected = [sum(seen[view][start : start + 2]) / 2 for start in (0, 2)]
        assert [entry[f"view_ok_{view}"] for entry in entries] == pytest.approx(expected)
    assert all(math.isfinite(value) for entry in entries for value in entry.values())


def test_a_method_without_views_logs_no_share(tmp_path: Path) -> None:
    trainer = build_trainer("normal", tmp_path, max_steps=1)
    trainer.train()
    assert not [key for entry in trainer.state.log_history for key in entry if key.startswith("view_ok")]


@pytest.mark.parametrize("name", ["bat_pairwise", "bat_triplet"])
def test_bat_logs_the_mean_distances_of_valid_views(name: str, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, max_steps=1, skip_labels=frozenset({1}))
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.eval()
    found = trainer.view_distances(trainer.model, batch)
    trainer.means.take()
    trainer.compute_loss(trainer.model, batch)
    logged = trainer.means.take()
    for view, distances, ok in (
        ("fickle", found.fickle, found.fickle_ok),
        ("obstinate", found.obstinate, found.obstinate_ok),
    ):
        assert 0 < ok.sum() < 8
        assert logged[f"distance_{view}"] == pytest.approx(distances[ok.bool()].mean().item(), rel=1e-5)


def test_no_valid_view_no_distance(tmp_path: Path) -> None:
    """Two words that the tokenizer does not know are the same tokens."""
    rows = [{"sentence": f"{row['sentence']} zebra", "label": row["label"]} for row in review_rows(16)]
    lexicons = {"synonyms": table({"zebra": ["gnu"]}, "synonym"), "antonyms": table({"zebra": ["yak"]}, "antonym")}
    trainer = build_trainer("bat_triplet", tmp_path, data=review_data(rows=rows), **lexicons, max_steps=2)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert entry["view_ok_fickle"] == entry["view_ok_obstinate"] == 0.0
    assert not [key for key in entry if key.startswith("distance")]


def test_taichi_logs_the_distances_of_pairs_and_of_others(tmp_path: Path) -> None:
    trainer = build_trainer("taichi", tmp_path, data=review_data(16), max_steps=2, learning_rate=1e-3)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert 0 < entry["distance_pair"] < 2 and 0 < entry["distance_others"] < 2
    plain = build_trainer("taichi", tmp_path / "plain", taichi_variant="no_ctr", max_steps=1, learning_rate=1e-3)
    plain.train()
    assert "distance_pair" not in plain.state.log_history[0]


WITH_ADVERSARY = [
    name
    for name, method in METHODS.items()
    if method.adversary is not RobustTrainer.adversary or hasattr(method.config, "adversary")
]
STRONG: dict[str, Any] = {"adv_steps": 3, "adv_lr": 0.3, "adv_init_mag": 0.5}
WEAK: dict[str, Any] = {"adv_init_mag": 0.0, "adv_lr": 0.0, "adv_steps": 3}


def logged_values(trainer: Any, batch: Any) -> dict[str, float]:
    """The values that a step on the batch logs if a measurement is due."""
    trainer.loss_increase.every_step = True
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
    assert trainer.measured_in_training()["loss_increase"] == pytest.approx(mean, abs=1e-6)


def test_a_method_without_an_adversary_logs_none(tmp_path: Path) -> None:
    trainer = build_trainer("normal", tmp_path)
    trainer.train()
    assert not any("loss_increase" in entry for entry in trainer.state.log_history)
    assert trainer.measured_in_training() == {}


@pytest.mark.parametrize("name", ["pgd", "freelb", "adaptive_freelb", "fgm"])
def test_it_is_the_mean_loss_at_the_points_less_the_clean_one(name: str, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, **({"adv_lr": 0.7} if name == "fgm" else STRONG))
    points = points_of(trainer, batch)
    if name == "fgm":
        points = points[1:]  # its first pass is on the clean text, without an adversary
    clean = loss_at(trainer, batch, zeros_of(trainer, batch)).item()
    expected = sum(loss_at(trainer, batch, point).item() for point in points) / len(points) - clean
    found = logged_values(trainer, batch)
    assert found["clean_loss"] == pytest.approx(clean, abs=1e-5)
    assert found["loss_increase"] == pytest.approx(expected, abs=1e-5)
    assert expected > 0.01


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("name", ["pgd", "freelb", "tavat", "adaptive_pgd"])
def test_dropout_is_not_in_it(name: str, same: bool, tmp_path: Path) -> None:
    options = {**WEAK, "tavat_norm": "zero"} if name == "tavat" else WEAK
    trainer, batch = prepared(name, tmp_path, **options, same_dropout=same, model=build_model(dropout=0.3))
    # Two masks give losses that differ by far more.
    assert logged_values(trainer, batch)["loss_increase"] == pytest.approx(0.0, abs=1e-6)


def test_freelb_without_dropout_asks_for_one_clean_pass(tmp_path: Path) -> None:
    for dropout, same, passes in ((0.3, True, 1), (0.3, False, 3), (0.0, False, 1)):
        trainer, batch = prepared("freelb", tmp_path, **STRONG, same_dropout=same, model=build_model(dropout=dropout))
        trainer.loss_increase.every_step = True
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
    # In training mode, because the comparison with chance runs in eval mode.
    trainer.model.register_forward_pre_hook(lambda module, *_: calls.extend([1] * module.training))
    trainer.remove_callback(TryFirstStep)  # its passes are no step of the training
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
    assert "loss_increase" not in logged_values(trainer, batch)


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
            found.append(logged_values(trainer, batch)["loss_increase"])
        assert start_of(trainer, batch).abs().max() == 0
        gaps.append(abs(found[0] - found[1]) / found[0])
    assert gaps[1] < 0.02 and gaps[1] < gaps[0] / 4
