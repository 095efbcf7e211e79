"""fgsm against a re-derivation without hooks, its reductions and traps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ascent_parts import (
    assert_close,
    assert_same,
    forwards_of,
    gradient_at,
    gradients_of,
    loss_at,
    naive_gradients,
    points_of,
    prepared,
    rows_of,
    weights_after,
    zeros_of,
)
from tiny import build_trainer


@pytest.mark.parametrize("clean_weight", [0.0, 0.4])
def test_loss_and_gradients_equal_the_naive_ones(clean_weight: float, tmp_path: Path) -> None:
    trainer, batch = prepared("fgsm", tmp_path, adv_lr=0.02, clean_weight=clean_weight)
    clean = zeros_of(trainer, batch)
    moved = 0.02 * gradient_at(trainer, batch, clean).sign()
    loss = loss_at(trainer, batch, moved) + clean_weight * loss_at(trainer, batch, clean)
    assert_close(gradients_of(trainer, batch), naive_gradients(trainer, loss))
    assert forwards_of(trainer, batch) == 2


@pytest.mark.slow
def test_reduction_without_eps_it_is_normal(tmp_path: Path) -> None:
    assert_same(
        weights_after("normal", tmp_path / "normal"), weights_after("fgsm", tmp_path / "fgsm", adv_lr=0.0), 0.0
    )


@pytest.mark.parametrize("clean_weight", [0.0, 0.4])
def test_every_entry_moves_by_eps_and_padding_by_nothing(clean_weight: float, tmp_path: Path) -> None:
    trainer, batch = prepared("fgsm", tmp_path, adv_lr=0.02, clean_weight=clean_weight)
    moved = points_of(trainer, batch)[-1]
    real = batch["attention_mask"].bool()
    assert not moved[~real].any()
    sizes = moved[real].abs()
    assert ((sizes == 0) | torch.isclose(sizes, torch.tensor(0.02))).all() and sizes.mean() > 0.019


def test_the_size_grows_with_the_length_of_the_text(tmp_path: Path) -> None:
    trainer, batch = prepared("fgsm", tmp_path, adv_lr=0.02)
    sizes = points_of(trainer, batch)[0].flatten(1).norm(dim=1)
    expected = 0.02 * (batch["attention_mask"].sum(1) * 16).float().sqrt()
    assert torch.allclose(sizes, expected, rtol=0.02)


def test_other_rows_change_nothing(tmp_path: Path) -> None:
    trainer, batch = prepared("fgsm", tmp_path)
    (together,), (alone,) = points_of(trainer, batch), points_of(trainer, rows_of(batch, 0))
    assert torch.equal(together[:1], alone)


@pytest.mark.parametrize(
    ("flag", "remedy"),
    [("adv_lr", "0 does not perturb"), ("clean_weight", "0 leaves the clean text out")],
)
def test_negative_values_are_one_sentence(flag: str, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--{flag} must be at least 0.0, got -1.0; {remedy}."):
        build_trainer("fgsm", tmp_path, **{flag: -1.0})
