"""freelb and freelb_pp against a re-derivation that keeps all graphs, their reductions and traps."""

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
    mean,
    naive_gradients,
    points_of,
    prepared,
    start_of,
    weights_after,
)
from tiny import build_model, build_trainer

STRONG: dict[str, Any] = {"adv_steps": 3, "adv_lr": 0.3, "adv_init_mag": 0.5}
FREELB = ("freelb", "freelb_pp")


@pytest.mark.parametrize("name", FREELB)
@pytest.mark.parametrize("passes", ["stream", "sum"])
@pytest.mark.parametrize("radius", [0.0, 0.6])
def test_loss_and_gradients_equal_the_naive_ones(name: str, passes: str, radius: float, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, **STRONG, adv_max_norm=radius, multi_backward=passes)
    points = l2_points(trainer, batch, start_of(trainer, batch), 2, 0.3, radius)
    loss = mean([loss_at(trainer, batch, point) for point in points])
    assert_close(gradients_of(trainer, batch), naive_gradients(trainer, loss))
    assert forwards_of(trainer, batch) == 3


@pytest.mark.parametrize("passes", ["stream", "sum"])
def test_the_points_0_to_k_minus_1_or_1_to_k(passes: str, tmp_path: Path) -> None:
    options = {**STRONG, "multi_backward": passes}
    trainer, batch = prepared("freelb", tmp_path, **options)
    points = l2_points(trainer, batch, start_of(trainer, batch), 3, 0.3)
    for found, expected in zip(points_of(trainer, batch), points[:3], strict=True):
        assert torch.allclose(found, expected, atol=1e-5)
    trainer, batch = prepared("freelb", tmp_path, **options, include_initial=False)
    for found, expected in zip(points_of(trainer, batch), points[1:], strict=True):
        assert torch.allclose(found, expected, atol=1e-5)
    loss = mean([loss_at(trainer, batch, point) for point in points[1:]])
    assert_close(gradients_of(trainer, batch), naive_gradients(trainer, loss))
    assert forwards_of(trainer, batch) == 4


@pytest.mark.slow
def test_reductions_to_normal(tmp_path: Path) -> None:
    normal = weights_after("normal", tmp_path / "normal")
    one = weights_after("freelb", tmp_path / "one", adv_steps=1, adv_init_mag=0.0)
    still = weights_after("freelb", tmp_path / "still", adv_lr=0.0, adv_init_mag=0.0)
    assert_same(normal, one, 0.0)
    assert_same(normal, still)


def test_it_is_freelb_with_other_steps(tmp_path: Path) -> None:
    first = weights_after("freelb", tmp_path / "freelb", adv_steps=4)
    assert_same(first, weights_after("freelb_pp", tmp_path / "pp", adv_steps=4), 0.0)
    default = build_trainer("freelb_pp", tmp_path).args
    assert (default.adv_steps, default.adv_max_norm, default.adv_lr, default.adv_init_mag) == (30, 0.0, 0.03, 0.05)


def test_the_norm_stays_below_mag_plus_t_alpha(tmp_path: Path) -> None:
    trainer, batch = prepared("freelb_pp", tmp_path)
    points = points_of(trainer, batch)
    assert len(points) == 30
    for t, point in enumerate(points):
        assert (point.flatten(1).norm(dim=1) <= 0.05 + t * 0.03 + 1e-5).all()
    assert 0.05 + 29 * 0.03 == pytest.approx(0.92)  # the bound that the docstring names


def _pass_losses(trainer: Any, batch: Any) -> list[float]:
    losses: list[float] = []
    original = trainer.task_loss

    def recording(*args: Any, **kwargs: Any) -> Any:
        loss, outputs = original(*args, **kwargs)
        losses.append(loss.item())
        return loss, outputs

    trainer.task_loss = recording
    gradients_of(trainer, batch)
    del trainer.task_loss
    return losses


@pytest.mark.parametrize("include_initial", [True, False])
@pytest.mark.parametrize("passes", ["stream", "sum"])
def test_passes_share_their_dropout_masks_by_default(include_initial: bool, passes: str, tmp_path: Path) -> None:
    options = {"adv_lr": 0.0, "adv_init_mag": 0.0, "include_initial": include_initial, "multi_backward": passes}
    trainer, batch = prepared("freelb", tmp_path, model=build_model(dropout=0.1), **options)
    assert len(set(_pass_losses(trainer, batch))) == 1
    trainer, batch = prepared("freelb", tmp_path, model=build_model(dropout=0.1), same_dropout=False, **options)
    assert len(set(_pass_losses(trainer, batch))) == 5


def test_the_pass_before_the_first_point_shares_the_masks_too(tmp_path: Path) -> None:
    trainer, batch = prepared("freelb", tmp_path, model=build_model(dropout=0.2), include_initial=False)
    logits: list[torch.Tensor] = []
    handle = trainer.model.register_forward_hook(lambda _m, _i, out: logits.append(out["logits"].detach()))
    trainer.args.adv_lr = 0.0
    trainer.embedding_space.adversary = trainer.args.adversary(init_mag=0.0)
    gradients_of(trainer, batch)
    handle.remove()
    assert len(logits) == 6 and all(torch.equal(found, logits[0]) for found in logits)


def test_each_batch_draws_masks_of_its_own(tmp_path: Path) -> None:
    options = {"adv_lr": 0.0, "adv_init_mag": 0.0}
    trainer, batch = prepared("freelb", tmp_path, model=build_model(dropout=0.1), **options)
    assert _pass_losses(trainer, batch)[0] != _pass_losses(trainer, batch)[0]


def test_the_last_gradient_is_not_taken(tmp_path: Path) -> None:
    trainer, batch = prepared("freelb", tmp_path, adv_steps=3)
    seen: list[bool] = []
    original = trainer.task_loss

    def recording(model: Any, inputs: Any, at: Any) -> Any:
        seen.append(at.leaves[0].requires_grad)
        return original(model, inputs, at=at)

    trainer.task_loss = recording
    trainer.compute_loss(trainer.model, batch).backward()
    assert seen == [True, True, False]


def test_the_radius_is_on_what_has_accumulated_and_the_start_may_be_outside(tmp_path: Path) -> None:
    trainer, batch = prepared("freelb", tmp_path, adv_steps=4, adv_lr=0.4, adv_init_mag=0.3, adv_max_norm=0.5)
    sizes = [point.flatten(1).norm(dim=1) for point in points_of(trainer, batch)]
    assert torch.allclose(sizes[0], torch.tensor(0.3 / 3**0.5), rtol=0.2)
    assert all((size <= 0.5 + 1e-5).all() for size in sizes) and torch.allclose(sizes[-1], torch.tensor(0.5))


@pytest.mark.parametrize("name", ["freelb", "tavat"])
def test_every_pass_has_its_own_look_up(name: str, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, adv_steps=3)
    calls: list[int] = []
    trainer.model.get_input_embeddings().register_forward_hook(lambda *_: calls.append(1))
    gradients_of(trainer, batch)
    assert len(calls) == 3


@pytest.mark.parametrize("options", [{}, {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}])
@pytest.mark.parametrize("name", ["freelb", "tavat"])
def test_sum_equals_stream(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    options = {**options, **STRONG, "max_steps": 2}
    stream = weights_after(name, tmp_path / "stream", **options)
    assert_same(stream, weights_after(name, tmp_path / "sum", multi_backward="sum", **options))


def test_the_logged_loss_is_the_mean_of_all_passes(tmp_path: Path) -> None:
    for passes in ("stream", "sum"):
        trainer, batch = prepared("freelb", tmp_path, **STRONG, multi_backward=passes)
        losses = _pass_losses(trainer, batch)
        assert gradients_of(trainer, batch)[0] == pytest.approx(sum(losses) / 3, abs=1e-6)
        assert max(losses) - min(losses) > 1e-3


def test_outputs_are_those_of_the_first_pass(tmp_path: Path) -> None:
    trainer, batch = prepared("freelb", tmp_path, adv_init_mag=0.0)
    _, outputs = trainer.compute_loss(trainer.model, dict(batch), return_outputs=True)
    assert torch.allclose(outputs["logits"], trainer.model(**batch)["logits"])
