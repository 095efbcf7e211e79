"""fgm against a re-derivation without hooks, its reductions and traps."""

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
    l2_points,
    loss_at,
    naive_gradients,
    points_of,
    prepared,
    weights_after,
    zeros_of,
)
from tiny import build_trainer


def test_loss_and_gradients_equal_the_naive_ones(tmp_path: Path) -> None:
    trainer, batch = prepared("fgm", tmp_path, adv_lr=0.7)
    clean, moved = l2_points(trainer, batch, zeros_of(trainer, batch), 1, 0.7)
    loss = loss_at(trainer, batch, clean) + loss_at(trainer, batch, moved)
    assert_close(gradients_of(trainer, batch), naive_gradients(trainer, loss))
    assert forwards_of(trainer, batch) == 2


def test_reduction_without_eps_the_gradient_is_twice_that_of_normal(tmp_path: Path) -> None:
    trainer, batch = prepared("fgm", tmp_path, adv_lr=0.0)
    normal, _ = prepared("normal", tmp_path)
    loss, gradients = gradients_of(normal, batch)
    assert_close(gradients_of(trainer, batch), (2 * loss, {name: 2 * value for name, value in gradients.items()}))


def test_reduction_without_eps_and_clean_term_it_is_normal(tmp_path: Path) -> None:
    fgm = weights_after("fgm", tmp_path / "fgm", adv_lr=0.0, clean_weight=0.0)
    assert_same(weights_after("normal", tmp_path / "normal"), fgm, 0.0)


def test_each_text_moves_by_eps_along_its_own_gradient_and_the_matrix_stays(tmp_path: Path) -> None:
    trainer, batch = prepared("fgm", tmp_path, adv_lr=0.7)
    before = trainer.model.get_input_embeddings().weight.clone()
    clean, moved = points_of(trainer, batch)
    gradient = gradient_at(trainer, batch, clean)
    assert not clean.any()
    for row in range(len(moved)):
        assert torch.allclose(moved[row], 0.7 * gradient[row] / gradient[row].norm(), atol=1e-5)
    assert torch.equal(trainer.model.get_input_embeddings().weight, before)


def test_one_word_twice_in_a_text_gets_two_perturbations(tmp_path: Path) -> None:
    trainer, batch = prepared("fgm", tmp_path)
    batch["input_ids"][0, 1:3] = 9
    _, moved = points_of(trainer, batch)
    assert not torch.allclose(moved[0, 1], moved[0, 2])


def test_fgm_and_fgsm_are_two_methods(tmp_path: Path) -> None:
    fgm, batch = prepared("fgm", tmp_path, adv_lr=0.5)
    fgsm, _ = prepared("fgsm", tmp_path, adv_lr=0.5)
    _, by_norm = points_of(fgm, batch)
    (by_sign,) = points_of(fgsm, batch)
    assert torch.equal(by_norm.sign(), by_sign.sign()) and not torch.allclose(by_norm, by_sign)


def test_the_norm_of_the_embeddings_is_logged_beside_the_perturbation(tmp_path: Path) -> None:
    trainer, batch = prepared("fgm", tmp_path, adv_lr=0.7)
    gradients_of(trainer, batch)
    found = trainer.means.take()
    embeddings = trainer.model.get_input_embeddings()(batch["input_ids"]) * batch["attention_mask"].unsqueeze(-1)
    assert found["embedding_norm"] == pytest.approx(embeddings.flatten(1).norm(dim=1).mean().item(), rel=1e-5)
    assert found["perturbation_norm"] == pytest.approx(0.35, rel=1e-4)  # 0 at the clean point, 0.7 at the other
    trainer.train()
    assert {"embedding_norm", "perturbation_norm"} <= trainer.state.log_history[0].keys()


def test_a_negative_eps_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--adv_lr must be at least 0.0, got -1.0; 0 does not perturb."):
        build_trainer("fgm", tmp_path, adv_lr=-1.0)
