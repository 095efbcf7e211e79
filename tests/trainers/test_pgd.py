"""pgd against a re-derivation without hooks, its reductions and traps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ascent_parts import (
    assert_close,
    assert_same,
    forwards_of,
    gradients_of,
    l2_points,
    loss_at,
    naive_gradients,
    points_of,
    prepared,
    sample_losses_at,
    start_of,
    weights_after,
    zeros_of,
)
from tiny import build_model, build_trainer

STRONG: dict[str, Any] = {"adv_steps": 3, "adv_lr": 0.3, "adv_init_mag": 0.5}


@pytest.mark.parametrize("radius", [0.0, 0.6])
@pytest.mark.parametrize("clean_weight", [0.0, 0.4])
def test_loss_and_gradients_equal_the_naive_ones(radius: float, clean_weight: float, tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, **STRONG, adv_max_norm=radius, clean_weight=clean_weight)
    last = l2_points(trainer, batch, start_of(trainer, batch), 3, 0.3, radius)[-1]
    loss = loss_at(trainer, batch, last) + clean_weight * loss_at(trainer, batch, torch.zeros_like(last))
    assert_close(gradients_of(trainer, batch), naive_gradients(trainer, loss))
    assert forwards_of(trainer, batch) == 4 + bool(clean_weight)


@pytest.mark.slow
def test_reduction_without_strength_it_is_normal(tmp_path: Path) -> None:
    assert_same(
        weights_after("normal", tmp_path / "normal"),
        weights_after("pgd", tmp_path / "pgd", adv_lr=0.0, adv_init_mag=0.0),
        0.0,
    )


def test_the_last_point_is_the_sum_of_the_increments(tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, **STRONG)
    (last,) = points_of(trainer, batch)
    steps = list(trainer.embedding_space.climb(batch, lambda z: trainer.sample_losses(z, batch["labels"])))
    increments = [step.after.leaves[0] - step.before.leaves[0] for step in steps]
    assert torch.allclose(last, start_of(trainer, batch) + sum(increments), atol=1e-6)
    assert not torch.allclose(last, start_of(trainer, batch) + increments[-1], atol=1e-2)


def test_steps_are_normalised_and_by_default_not_projected(tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, adv_init_mag=0.0, adv_lr=2.0, adv_steps=1)
    assert trainer.args.adv_max_norm == 0.0
    assert torch.allclose(points_of(trainer, batch)[0].flatten(1).norm(dim=1), torch.tensor(2.0))
    trainer, batch = prepared("pgd", tmp_path, adv_init_mag=0.0, adv_lr=2.0, adv_steps=1, adv_max_norm=0.5)
    assert torch.allclose(points_of(trainer, batch)[0].flatten(1).norm(dim=1), torch.tensor(0.5))


def test_steps_are_a_flag_and_are_kept_with_the_run(tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, adv_steps=10)
    assert forwards_of(trainer, batch) == 11 and trainer.args.to_dict()["adv_steps"] == 10


def test_the_clean_text_is_trained_on_only_where_it_is_asked_for(tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, **STRONG)
    assert trainer.args.clean_weight == 0.0 and all(point.any() for point in points_of(trainer, batch))
    trainer, batch = prepared("pgd", tmp_path, **STRONG, clean_weight=0.5)
    assert [bool(point.any()) for point in points_of(trainer, batch)] == [True, False]


def test_the_ascent_leaves_accumulated_gradients_as_they_are(tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, **STRONG)
    objective = lambda logits: trainer.sample_losses(logits, batch["labels"])  # noqa: E731
    trainer.embedding_space.worst(batch, objective)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    trainer.compute_loss(trainer.model, dict(batch)).backward()
    before = [parameter.grad.clone() for parameter in trainer.model.parameters()]
    trainer.embedding_space.worst(batch, objective)
    trainer.compute_loss(trainer.model, dict(batch))
    for parameter, gradient in zip(trainer.model.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_small_steps_raise_the_loss_of_every_text(tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, adv_steps=3, adv_lr=0.02, adv_init_mag=0.0)
    (last,) = points_of(trainer, batch)
    before = sample_losses_at(trainer, batch, zeros_of(trainer, batch))
    assert (sample_losses_at(trainer, batch, last) > before).all()


def test_every_pass_has_dropout(tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, model=build_model(dropout=0.1))
    modes: list[bool] = []
    trainer.model.register_forward_pre_hook(lambda module, *_: modes.append(module.training))
    gradients_of(trainer, batch)
    assert modes == [True] * 6
    assert all(module.training for module in trainer.model.modules())


def test_label_smoothing_and_class_weights_are_what_the_ascent_raises(tmp_path: Path) -> None:
    options = {"label_smoothing_factor": 0.3, "class_weights": [1.0, 5.0]}
    trainer, batch = prepared("pgd", tmp_path, **options)
    logits = torch.randn(8, 2)
    weights = torch.tensor([1.0, 5.0])
    losses = trainer.sample_losses(logits, batch["labels"])
    expected = torch.nn.functional.cross_entropy(logits, batch["labels"], weights, label_smoothing=0.3)
    assert (losses.sum() / weights[batch["labels"]].sum()).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_negative_clean_weight_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--clean_weight must be at least 0.0, got -1.0; 0 leaves the clean text out"):
        build_trainer("pgd", tmp_path, clean_weight=-1.0)
