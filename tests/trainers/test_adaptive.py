"""The adaptive methods: weights over increments, their reductions, gradients and traps."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from ascent_parts import (
    Gradients,
    assert_close,
    assert_same,
    forwards_of,
    gradient_at,
    gradients_of,
    l2_points,
    loss_at,
    mean,
    naive_gradients,
    points_of,
    prepared,
    sample_losses_at,
    start_of,
    weights_after,
    zeros_of,
)
from tiny import build_model, build_trainer
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from benchmarks.architectures.configs import tiny_config
from hf_robust.adversary import project_simplex
from hf_robust.modules.increment_weights import IncrementWeights

ADAPTIVE = ("adaptive_pgd", "adaptive_freelb", "adaptive_tavat")
STRONG: dict[str, Any] = {"adv_steps": 3, "adv_lr": 0.3, "adv_init_mag": 0.5}
DIRECT: dict[str, Any] = {"adaptive_objective": "direct", "adv_norm_type": "none", "adv_init_mag": 0.0}


def increments_of(trainer: Any, batch: dict[str, Tensor]) -> list[Tensor]:
    """Of an l2 ascent by hand."""
    args = trainer.args
    points = l2_points(trainer, batch, start_of(trainer, batch), args.adv_steps, args.adv_lr, args.adv_max_norm)
    return [after - before for before, after in zip(points, points[1:], strict=False)]


def weight_gradient(gradients: Gradients) -> Tensor:
    (found,) = (value for name, value in gradients.items() if name.endswith("robust_aux.values"))
    return found


def set_weights(trainer: Any, values: list[float]) -> None:
    with torch.no_grad():
        trainer.increment_weights.values.copy_(torch.tensor(values))


# ---- reductions ----


@pytest.mark.parametrize("radius", [0.0, 0.6])
def test_reduction_uniform_weights_and_beta_k_are_pgd(radius: float, tmp_path: Path) -> None:
    adaptive, batch = prepared("adaptive_pgd", tmp_path, **STRONG, adv_max_norm=radius)
    pgd, _ = prepared("pgd", tmp_path, **STRONG, adv_max_norm=radius)
    assert adaptive.beta() == 3.0 and adaptive.increment_weights().tolist() == pytest.approx([1 / 3] * 3)
    assert_close(gradients_of(adaptive, batch), gradients_of(pgd, batch))
    assert forwards_of(adaptive, batch) == forwards_of(pgd, batch) == 4


def test_reduction_frozen_weights_train_as_pgd_does(tmp_path: Path) -> None:
    options = {**STRONG, "max_grad_norm": 0.0}
    first = weights_after("adaptive_pgd", tmp_path / "adaptive", w_lr=0.0, **options)
    assert_same(first, weights_after("pgd", tmp_path / "pgd", **options), tolerance=1e-5)


def test_reduction_ADAPT_5_the_methods_own_weights_give_the_mean_point_of_freelb(tmp_path: Path) -> None:
    trainer, batch = prepared("adaptive_freelb", tmp_path, **STRONG, adaptive_init="method")
    assert trainer.increment_weights().tolist() == pytest.approx([3 / 6, 2 / 6, 1 / 6]) and trainer.beta() == 2.0
    points = l2_points(trainer, batch, start_of(trainer, batch), 3, 0.3)
    middle = torch.stack(points[1:]).mean(0)
    (found,) = points_of(trainer, batch)
    assert torch.allclose(found, middle, atol=1e-5)
    assert_close(gradients_of(trainer, batch), naive_gradients(trainer, loss_at(trainer, batch, middle)))
    # The loss at the mean point is not the mean of the losses (Jensen), but to first order.
    uniform, _ = prepared("adaptive_freelb", tmp_path, **STRONG)
    assert not torch.allclose(points_of(uniform, batch)[0], middle, atol=1e-2)


def test_the_jensen_gap_vanishes_with_the_step(tmp_path: Path) -> None:
    gaps = []
    for alpha in (0.2, 0.02):
        options = {"adv_steps": 3, "adv_lr": alpha, "adv_init_mag": 0.0, "adaptive_init": "method"}
        trainer, batch = prepared("adaptive_freelb", tmp_path, **options)
        points = l2_points(trainer, batch, zeros_of(trainer, batch), 3, alpha)
        average = mean([loss_at(trainer, batch, point) for point in points[1:]]).item()
        gaps.append(abs(gradients_of(trainer, batch)[0] - average))
    assert gaps[1] < gaps[0] / 20  # quadratic in the step


def test_the_average_is_over_the_points_1_to_k(tmp_path: Path) -> None:
    trainer, batch = prepared("adaptive_freelb", tmp_path, **STRONG)
    freelb, _ = prepared("freelb", tmp_path, **STRONG, include_initial=False)
    assert forwards_of(trainer, batch) == forwards_of(freelb, batch) == 4
    steps = list(trainer.embedding_space.climb(batch, lambda z: trainer.sample_losses(z, batch["labels"])))
    for step, point in zip(steps, points_of(freelb, batch), strict=True):
        assert torch.allclose(step.after.leaves[0], point, atol=1e-5)


def tavat_increments(trainer: Any, batch: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """TA-VAT's steps by hand, row by row, as Li and Qiu write them: what each adds along the gradient, the gradients,
    and eta at the end."""
    args, start = trainer.args, trainer.table.start(trainer, batch)
    delta, eta = start.delta, start.eta
    gained, gradients = [], []
    for _ in range(args.adv_steps):
        gradient = gradient_at(trainer, batch, delta + eta)
        by_row = []
        for row, g in enumerate(gradient):
            real = int(batch["attention_mask"][row].sum())
            step = args.adv_lr * g / g.norm()
            word_step = torch.zeros_like(g)
            word_step[:real] = args.adv_lr * g[:real] / g[:real].norm(dim=1, keepdim=True)
            sizes = (eta[row] + word_step).norm(dim=1, keepdim=True)
            share = sizes / sizes.max()
            moved = delta[row] + step, (eta[row] + word_step) * share
            norm = (moved[0] + moved[1]).norm()
            shrink = min(1.0, args.adv_max_norm / norm.item())
            by_row.append((moved[0] * shrink, moved[1] * shrink, (step + word_step * share) * shrink))
        delta, eta, step = (torch.stack(parts) for parts in zip(*by_row, strict=True))
        gained.append(step)
        gradients.append(gradient)
    return gained, gradients, eta


@pytest.mark.parametrize("radius", [0.6, 100.0])
def test_tavat_increments_are_what_the_steps_add_along_the_gradient(radius: float, tmp_path: Path) -> None:
    trainer, batch = prepared("adaptive_tavat", tmp_path, **STRONG, adv_max_norm=radius)
    set_weights(trainer, [0.2, 0.7, 0.1])
    gained, gradients, eta = tavat_increments(trainer, batch)
    start = trainer.table.start(trainer, batch).offset
    (found,) = points_of(trainer, batch)
    weighted = sum(w * step for w, step in zip([0.2, 0.7, 0.1], gained, strict=True))
    assert trainer.beta() == 3.0 and torch.allclose(found, start + 3.0 * weighted, atol=1e-5)
    # Each token moves along its own gradient; the differences of the points do not.
    for step, gradient in zip(gained, gradients, strict=True):
        real = batch["attention_mask"].bool()
        cosines = torch.cosine_similarity(step, gradient, dim=-1)[real]
        assert torch.allclose(cosines, torch.ones_like(cosines), atol=1e-4)
    assert torch.allclose(trainer.table._records[-1][1], eta[batch["attention_mask"].bool()], atol=1e-5)


def test_the_wrapped_method_keeps_its_noise_and_radius(tmp_path: Path) -> None:
    for name, wrapped in {"adaptive_pgd": "pgd", "adaptive_freelb": "freelb", "adaptive_tavat": "tavat"}.items():
        own, theirs = build_trainer(name, tmp_path).args, build_trainer(wrapped, tmp_path).args
        for flag in ("adv_init_mag", "adv_max_norm", "adv_norm_type"):
            assert getattr(own, flag) == getattr(theirs, flag), (name, flag)
        assert own.adv_lr == 0.04


# ---- one dropout mask ----


@pytest.mark.parametrize("name", ADAPTIVE)
def test_all_passes_of_a_step_draw_the_same_dropout(name: str, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, **STRONG, model=build_model(dropout=0.3))
    assert trainer.args.same_dropout
    seen: list[Tensor] = []
    trainer.model.register_forward_pre_hook(lambda *_: seen.append(torch.get_rng_state()))
    gradients_of(trainer, batch)
    assert len(seen) == 4 and all(torch.equal(seen[0], state) for state in seen)
    other, batch = prepared(name, tmp_path, **STRONG, model=build_model(dropout=0.3), same_dropout=False)
    seen.clear()
    other.model.register_forward_pre_hook(lambda *_: seen.append(torch.get_rng_state()))
    gradients_of(other, batch)
    assert len({tuple(state.tolist()) for state in seen}) == 4


def test_reduction_uniform_weights_are_pgd_under_dropout_too(tmp_path: Path) -> None:
    found = []
    for name in ("adaptive_pgd", "pgd"):
        trainer, batch = prepared(name, tmp_path, **STRONG, model=build_model(dropout=0.3), same_dropout=True)
        torch.manual_seed(3)
        found.append(gradients_of(trainer, batch))
    assert_close(*found)


def test_with_one_mask_the_linearisation_error_vanishes_with_the_step_under_dropout(tmp_path: Path) -> None:
    """Both masks give an error of first order in the step; that of two masks does not vanish at all."""
    errors: dict[tuple[bool, float], float] = {}
    for same in (True, False):
        for alpha in (0.2, 0.02):
            options = {"adv_norm_type": "none", "adv_init_mag": 0.0, "adv_lr": alpha, "adv_steps": 3}
            trainer, batch = prepared(
                "adaptive_pgd", tmp_path, model=build_model(dropout=0.1), log_linearisation_error=True,
                same_dropout=same, **options,
            )  # fmt: skip
            torch.manual_seed(1)
            gradients_of(trainer, batch)
            errors[same, alpha] = trainer.means.take()["linearisation_error"]
    assert errors[True, 0.02] < errors[True, 0.2] / 20  # quadratic in the step
    assert errors[False, 0.02] > 20 * errors[True, 0.02]


# ---- the loss and the gradient of w ----


@pytest.mark.parametrize("name", ["adaptive_pgd", "adaptive_freelb"])
def test_loss_and_gradients_equal_the_naive_ones(name: str, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, **STRONG, adaptive_beta=1.7)
    set_weights(trainer, [0.2, 0.7, 0.1])
    moved = sum(w * step for w, step in zip([0.2, 0.7, 0.1], increments_of(trainer, batch), strict=True))
    loss = loss_at(trainer, batch, start_of(trainer, batch) + 1.7 * moved)
    assert_close(gradients_of(trainer, batch), naive_gradients(trainer, loss))


@pytest.mark.parametrize("w_param", ["simplex", "softmax", "raw"])
@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_gradient_of_w_equals_finite_differences(name: str, w_param: str, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, **STRONG, w_param=w_param)
    values = [0.2, 0.7, 0.1]
    set_weights(trainer, values)
    found = weight_gradient(gradients_of(trainer, batch)[1])
    slopes = []
    for i in range(3):
        losses = []
        for shift in (1e-2, -1e-2):
            set_weights(trainer, [value + shift * (i == j) for j, value in enumerate(values)])
            losses.append(gradients_of(trainer, batch)[0])
        slopes.append((losses[0] - losses[1]) / 2e-2)
    shared = sum(slopes) / 3 if w_param == "simplex" else 0.0  # the part that would leave the simplex
    assert found.tolist() == pytest.approx([slope - shared for slope in slopes], rel=0.02, abs=2e-3)


def test_on_the_simplex_differences_of_gradients_move_the_weights_under_adam_too() -> None:
    weights = IncrementWeights(torch.full((2,), 0.5), "simplex")
    optimizer = torch.optim.AdamW(weights.parameters(), lr=0.01, maximize=True)
    for _ in range(20):
        optimizer.zero_grad()
        torch.dot(weights(), torch.tensor([1.0, 1.1])).backward()
        optimizer.step()
        weights.project()
    assert weights().tolist() == pytest.approx([0.3, 0.7], abs=1e-3)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_beta_0_is_the_loss_at_the_start(name: str, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, **STRONG, adaptive_beta=0.0)
    loss = gradients_of(trainer, batch)[0]
    start = trainer.first_point(batch).offset
    assert loss == pytest.approx(loss_at(trainer, batch, start).item(), abs=1e-6)
    if name != "adaptive_tavat":
        options = {"adaptive_beta": 0.0, "adv_init_mag": 0.0}
        normal = weights_after("normal", tmp_path / "normal")
        assert_same(normal, weights_after(name, tmp_path / "adaptive", **options), 0.0)


# ---- w over a run ----


def test_weights_start_at_one_over_k_and_raw_ones_at_the_papers_ones(tmp_path: Path) -> None:
    for w_param, first in {"simplex": 0.2, "softmax": 0.2, "raw": 1.0}.items():
        trainer = build_trainer("adaptive_pgd", tmp_path, w_param=w_param)
        assert torch.allclose(trainer.increment_weights(), torch.full((5,), first))
        assert trainer.args.adaptive_init == ("ones" if w_param == "raw" else "uniform")
    raw = build_trainer("adaptive_pgd", tmp_path, w_param="raw", adaptive_init="uniform")
    assert torch.allclose(raw.increment_weights(), torch.full((5,), 0.2))


@pytest.mark.parametrize("w_param", ["simplex", "softmax"])
def test_ones_are_refused_where_the_sum_stays_at_one(w_param: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=f"--adaptive_init ones has a sum of k, and --w_param {w_param} keeps it at 1"
    ):
        build_trainer("adaptive_pgd", tmp_path, w_param=w_param, adaptive_init="ones")


def test_a_growing_sum_of_raw_weights_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {**STRONG, "w_param": "raw", "max_steps": 4, "learning_rate": 0.0}
    for name, w_lr in {"still": 0.0, "growing": 5.0}.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            trainer = build_trainer("adaptive_pgd", tmp_path / name, w_lr=w_lr, **options)
            trainer.train()
        said = [
            record.getMessage() for record in caplog.records if "sum of the increment weights" in record.getMessage()
        ]
        assert len(said) == (name == "growing")
    assert "grew from 3 to " in said[0] and "by step 1," in said[0] and "use --w_param simplex" in said[0]
    assert trainer.increment_weights().sum() > 3.3


@pytest.mark.parametrize("w_param", ["simplex", "softmax"])
def test_the_weights_are_on_the_simplex_after_100_steps(w_param: str) -> None:
    weights = IncrementWeights(torch.full((5,), 0.2), w_param)
    optimizer = torch.optim.AdamW(weights.parameters(), lr=0.1, maximize=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        optimizer.zero_grad()
        torch.dot(weights(), torch.randn(5, generator=generator) * 10).backward()
        optimizer.step()
        weights.project()
        assert weights().min() >= 0 and weights().sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("w_param", ["simplex", "softmax"])
@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_weights_move_and_stay_on_the_simplex_in_a_run(name: str, w_param: str, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, w_lr=5.0, w_param=w_param, max_steps=2, **STRONG)
    trainer.train()
    weights = trainer.increment_weights().detach()
    assert weights.min() >= 0 and weights.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert not torch.allclose(weights, torch.full((3,), 1 / 3), atol=1e-3)


def test_raw_weights_leave_the_simplex(tmp_path: Path) -> None:
    trainer = build_trainer("adaptive_pgd", tmp_path, max_steps=5, w_lr=1.0, w_param="raw", adv_lr=0.3)
    trainer.train()
    assert trainer.increment_weights().sum().item() != pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("optim", ["sgd", "adamw_torch", "adafactor"])
@pytest.mark.parametrize("mode", ["max", "min"])
def test_w_goes_plain_steps_up_or_down_whatever_the_models_optimizer(mode: str, optim: str, tmp_path: Path) -> None:
    options = {**STRONG, "w_param": "raw", "adaptive_init": "uniform"}
    still, batch = prepared("adaptive_pgd", tmp_path, **options)
    gradient = weight_gradient(gradients_of(still, batch)[1])
    trainer = build_trainer(
        "adaptive_pgd", tmp_path, max_steps=1, w_lr=0.5 if mode == "max" else -0.5, optim=optim, weight_decay=0.1,
        max_grad_norm=1e-3, **options,
    )  # fmt: skip
    trainer.train()
    moved = trainer.increment_weights().detach() - 1 / 3
    assert torch.allclose(moved, (0.5 if mode == "max" else -0.5) * gradient, atol=1e-5)


def test_w_is_not_in_the_norm_by_which_the_models_gradient_is_clipped(tmp_path: Path) -> None:
    options = {**STRONG, "max_steps": 1, "max_grad_norm": 1e-3}
    frozen = weights_after("adaptive_pgd", tmp_path / "frozen", w_lr=0.0, **options)
    assert_same(frozen, weights_after("pgd", tmp_path / "pgd", **options))
    assert_same(frozen, weights_after("adaptive_pgd", tmp_path / "learnt", w_lr=9.0, **options), 0.0)


def test_w_follows_the_runs_schedule_and_sums_its_micro_batches(tmp_path: Path) -> None:
    options = {**STRONG, "w_lr": 0.5, "learning_rate": 0.0, "lr_scheduler_type": "linear", "max_steps": 4}
    options |= {"w_param": "raw", "adaptive_init": "uniform"}
    whole = build_trainer("adaptive_pgd", tmp_path / "whole", **options)
    whole.train()
    parts = build_trainer(
        "adaptive_pgd", tmp_path / "parts", per_device_train_batch_size=2, gradient_accumulation_steps=4, **options
    )
    parts.train()
    assert torch.allclose(whole.increment_weights(), parts.increment_weights(), atol=1e-6)
    groups = whole.optimizer.param_groups
    assert groups[-1]["params"] == [whole.increment_weights.values] and groups[-1]["lr"] == 0.0  # the schedule's end


@pytest.mark.parametrize("scaled", [False, True])
def test_half_precision_neither_scales_nor_breaks_a_plain_step(scaled: bool, tmp_path: Path) -> None:
    """A fused optimizer is given the gradients times the scaler's factor, and steps over those that are not finite."""
    trainer = build_trainer(
        "adaptive_pgd", tmp_path, w_lr=0.5, w_param="raw", adv_steps=2, optim="adamw_torch_fused"
    )  # fmt: skip
    optimizer, values = trainer.create_optimizer(), trainer.increment_weights.values
    if scaled:
        optimizer.grad_scale = torch.tensor(1024.0)
    for gradient, expected in (([2.0, 4.0], [2.0, 3.0]), ([torch.inf, 4.0], [2.0, 3.0])):
        values.grad = torch.tensor(gradient) * (1024.0 if scaled else 1.0)
        optimizer.step()
        assert values.tolist() == expected and values.grad is None


def test_adam_moves_w_in_the_models_optimizer(tmp_path: Path) -> None:
    trainer = build_trainer("adaptive_pgd", tmp_path, weight_decay=0.1, w_lr=0.02, w_optim="adam", optim="adamw_torch")
    group = trainer.create_optimizer().param_groups[-1]
    assert group["params"] == [trainer.increment_weights.values]
    assert (group["lr"], group["weight_decay"], group["maximize"]) == (0.02, 0.0, True)
    options = {**STRONG, "w_param": "raw", "adaptive_init": "uniform", "w_lr": 0.02, "max_steps": 1}
    trainer = build_trainer("adaptive_pgd", tmp_path, w_optim="adam", optim="adamw_torch", **options)
    trainer.train()
    # Adam's first step has one size in each entry.
    moved = (trainer.increment_weights().detach() - 1 / 3).abs()
    assert torch.allclose(moved, torch.full((3,), 0.02), rtol=1e-3)


def test_an_optimizer_that_cannot_ascend_is_one_sentence(tmp_path: Path) -> None:
    trainer = build_trainer("adaptive_pgd", tmp_path, optim="adafactor", w_optim="adam")
    with pytest.raises(
        ValueError, match="adaptive_pgd has parameters that ascend.*Adafactor.*; use --optim adamw_torch"
    ):
        trainer.create_optimizer()
    build_trainer("adaptive_pgd", tmp_path, optim="adafactor", w_optim="adam", w_lr=-0.01).create_optimizer()


def test_on_a_linear_model_w_moves_to_the_increment_that_goes_further() -> None:
    """J(w) = <g, w_1 (1, 0) + w_2 (2, 0)>: the second increment has all the weight in the end."""
    weights = IncrementWeights(torch.tensor([0.5, 0.5]), "simplex")
    optimizer = torch.optim.SGD(weights.parameters(), lr=0.05, maximize=True)
    increments = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    for _ in range(30):
        optimizer.zero_grad()
        ((weights() @ increments) @ torch.tensor([1.0, 0.3])).backward()
        optimizer.step()
        weights.project()
    assert torch.equal(weights().detach(), torch.tensor([0.0, 1.0]))


def test_weights_entropy_and_size_are_logged(tmp_path: Path) -> None:
    trainer = build_trainer("adaptive_pgd", tmp_path, adv_steps=4, max_steps=1)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert [entry[f"w_{i}"] for i in range(1, 5)] == pytest.approx([0.25] * 4)
    assert entry["w_entropy"] == pytest.approx(1.3863, abs=1e-3) and entry["perturbation_norm"] > 0


def test_the_perturbation_stays_below_k_alpha_whatever_w(tmp_path: Path) -> None:
    trainer, batch = prepared("adaptive_pgd", tmp_path, adv_steps=4, adv_lr=0.1, adv_init_mag=0.0)
    for weights in ([0.0, 0.0, 0.0, 1.0], [0.25] * 4, project_simplex(torch.randn(4)).tolist()):
        set_weights(trainer, weights)
        assert (points_of(trainer, batch)[0].flatten(1).norm(dim=1) <= 0.4 + 1e-5).all()


@pytest.mark.parametrize("w_optim", ["sgd", "adam"])
@pytest.mark.parametrize("w_param", ["simplex", "softmax", "raw"])
@pytest.mark.parametrize("name", ADAPTIVE)
def test_resume_restores_w(name: str, w_param: str, w_optim: str, tmp_path: Path) -> None:
    options = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1, "w_lr": 0.5, "w_param": w_param, **STRONG}
    options |= {"w_optim": w_optim, "optim": "adamw_torch", "lr_scheduler_type": "linear"}
    first = build_trainer(name, tmp_path / "first", **options)
    first.train()
    second = build_trainer(name, tmp_path / "second", **options)
    second.train(resume_from_checkpoint=str(tmp_path / "first" / "checkpoint-1"))
    assert torch.equal(first.increment_weights.values, second.increment_weights.values)
    assert not torch.allclose(first.increment_weights(), torch.full((3,), 1 / 3), atol=1e-4)
    if name == "adaptive_tavat":
        assert torch.equal(first.table.table, second.table.table)


# ---- the direct objective ----


def eager(**options: Any) -> Any:
    return build_model(attn_implementation="eager", **options)


def naive_direct(trainer: Any, batch: dict[str, Tensor], weights: list[float], beta: float, alpha: float) -> Tensor:
    """CE(f(e), y) + (beta / alpha) sum_i w_i ||delta_i||^2, the mean over rows, with delta_i = alpha g_i."""
    point = zeros_of(trainer, batch)
    loss = loss_at(trainer, batch, point)
    mask = batch["attention_mask"].unsqueeze(-1)
    for weight in weights:
        leaf = point.clone().requires_grad_()
        total = sample_losses_at(trainer, batch, leaf).sum()
        (gradient,) = torch.autograd.grad(total, leaf, create_graph=True)
        delta = alpha * gradient * mask
        loss = loss + beta / alpha * weight * delta.square().flatten(1).sum(1).mean()
        point = point + delta.detach()
    return loss


def test_direct_equals_its_definition_with_raw_steps(tmp_path: Path) -> None:
    trainer, batch = prepared("adaptive_pgd", tmp_path, model=eager(), adv_steps=3, adv_lr=0.2, **DIRECT)
    set_weights(trainer, [0.2, 0.7, 0.1])
    loss = naive_direct(trainer, batch, [0.2, 0.7, 0.1], 3.0, 0.2)
    assert_close(gradients_of(trainer, batch), naive_gradients(trainer, loss), tolerance=1e-5)


def test_with_normalised_steps_the_term_is_alpha_times_the_norm(tmp_path: Path) -> None:
    options = {**DIRECT, "adv_norm_type": "l2", "adv_steps": 1, "adv_lr": 0.2}
    trainer, batch = prepared("adaptive_pgd", tmp_path, model=eager(), **options)
    leaf = zeros_of(trainer, batch).requires_grad_()
    losses = sample_losses_at(trainer, batch, leaf)
    (gradient,) = torch.autograd.grad(losses.sum(), leaf)
    expected = losses.mean() + 0.2 * gradient.flatten(1).norm(dim=1).mean()
    assert gradients_of(trainer, batch)[0] == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_direct_trains_and_its_gradient_of_w_is_the_first_order_term(name: str, tmp_path: Path) -> None:
    options = {"adaptive_objective": "direct", "adv_steps": 3}
    trainer, batch = prepared(name, tmp_path, model=eager(), **options)
    gradient = weight_gradient(gradients_of(trainer, batch)[1])
    assert gradient.isfinite().all() and gradient.abs().sum() > 0
    trainer = build_trainer(name, tmp_path, model=eager(), **options)
    trainer.train()
    assert all(torch.isfinite(torch.tensor(e["loss"])) for e in trainer.state.log_history if "loss" in e)


def test_direct_refuses_attention_without_second_derivatives(tmp_path: Path) -> None:
    model = build_model(attn_implementation="sdpa")
    message = "--adaptive_objective direct needs second derivatives, which sdpa attention does not have; use --attn"
    with pytest.raises(ValueError, match=message):
        build_trainer("adaptive_pgd", tmp_path, model=model, adaptive_objective="direct")
    build_trainer("adaptive_pgd", tmp_path, model=model)


# ---- the linearisation (Figure 4) ----


def test_the_linearisation_error_is_logged_and_vanishes_with_the_step(tmp_path: Path) -> None:
    errors = []
    for alpha in (0.2, 0.02):
        options = {"adv_norm_type": "none", "adv_init_mag": 0.0, "adv_lr": alpha, "adv_steps": 3}
        trainer, batch = prepared("adaptive_pgd", tmp_path, log_linearisation_error=True, **options)
        loss = gradients_of(trainer, batch)[0]
        parts = trainer.means.take()
        assert parts["linearisation_error"] == pytest.approx(abs(loss - parts["linearised_loss"]), abs=1e-5)
        errors.append(parts["linearisation_error"] / alpha)
    assert errors[1] < errors[0] / 4 and errors[1] < 0.2  # quadratic in the step
    plain, batch = prepared("adaptive_pgd", tmp_path)
    gradients_of(plain, batch)
    assert "linearisation_error" not in plain.means.take()


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("w_param", "box", "--w_param must be one of simplex, softmax, raw, got 'box'"),
        ("adaptive_init", "box", "--adaptive_init must be one of uniform, ones, method, got 'box'"),
        ("w_optim", "adagrad", "--w_optim must be one of sgd, adam, got 'adagrad'"),
        ("adaptive_objective", "both", "--adaptive_objective must be one of surrogate, direct, got 'both'"),
        ("adaptive_beta", -1.0, "--adaptive_beta must be at least 0.0, got -1.0; 0 leaves the increments out"),
    ],
)
def test_bad_flags_are_one_sentence(flag: str, value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer("adaptive_pgd", tmp_path, **{flag: value})


def test_increments_that_point_one_way_are_logged_as_aligned(tmp_path: Path) -> None:
    trainer, _ = prepared("adaptive_pgd", tmp_path, adv_steps=3)
    logged: dict[str, Tensor] = {}
    trainer.log_values = logged.update  # type: ignore[method-assign]
    step = torch.randn(1, 2, 3, 4)
    for others, expected in {(1.0, 1.0): 1.0, (1.0, -2.0): 0.0}.items():
        increments = torch.cat([step, others[0] * step, others[1] * step])
        trainer._log_ascent(torch.ones(3) / 3, increments, torch.zeros(2, 3, 4))
        assert logged["increment_alignment"].item() == pytest.approx(expected, abs=1e-6)
    assert logged["increment_norm"].item() == pytest.approx(step.flatten(2).norm(dim=2).mean().item() * 4 / 3)


def test_how_far_the_weights_moved_the_point_is_logged(tmp_path: Path) -> None:
    trainer, batch = prepared("adaptive_pgd", tmp_path, **STRONG)
    gradients_of(trainer, batch)
    assert trainer.means.take()["point_moved"] == 0.0  # as the frozen control
    set_weights(trainer, [0.1, 0.2, 0.7])
    steps = increments_of(trainer, batch)
    first = start_of(trainer, batch) + sum(steps)
    learnt = start_of(trainer, batch) + 3 * sum(w * one for w, one in zip([0.1, 0.2, 0.7], steps, strict=True))
    norm = lambda values: values.flatten(1).norm(dim=1)  # noqa: E731
    gradients_of(trainer, batch)
    expected = (norm(learnt - first) / norm(first)).mean()
    assert trainer.means.take()["point_moved"] == pytest.approx(expected.item(), rel=1e-4)


def test_weights_step_beside_a_model_whose_parameters_all_decay(tmp_path: Path) -> None:
    """OLMo has neither biases nor weights in its norms: the optimizer's group without decay is empty."""
    model = AutoModelForSequenceClassification.from_config(tiny_config("olmo", vocab_size=128, num_labels=2))
    trainer = build_trainer("adaptive_pgd", tmp_path, model=model)
    before = trainer.increment_weights.values.detach().clone()
    trainer.train()
    assert not torch.equal(trainer.increment_weights.values, before)
