"""The ascent: its protocol, unchanged parameters, closed forms on a linear model; dropout replay, evaluation mode."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import build_model
from torch import Tensor, nn
from torch.nn.functional import softplus

from hf_robust.adversary import Delta, DropoutReplay, StepRule, Variable, ascend, climb, evaluating, sample_norm

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "deberta-v2"])
def test_every_pass_has_the_masks_of_the_first(kind: str) -> None:
    model: Any = build_model(kind, dropout=0.2).train()
    ids = torch.tensor([[2, 9, 11, 3]])
    replay = DropoutReplay(CPU)

    def again() -> Tensor:
        with replay.again():
            return model(input_ids=ids).logits.detach()

    first = again()
    torch.rand(17)  # random numbers between two passes have no effect
    assert torch.equal(again(), first) and torch.equal(again(), first)
    assert not torch.equal(model(input_ids=ids).logits, first)


def test_the_first_pass_draws_what_it_would_draw_alone_and_the_state_goes_on() -> None:
    torch.manual_seed(3)
    expected = [torch.rand(2), torch.rand(2)]
    torch.manual_seed(3)
    replay = DropoutReplay(CPU)
    for _ in range(3):
        with replay.again():
            assert torch.equal(torch.rand(2), expected[0])
    assert torch.equal(torch.rand(2), expected[1])


def test_two_replays_are_independent() -> None:
    first, second = DropoutReplay(CPU), DropoutReplay(CPU)
    with first.again():
        one = torch.rand(3)
    with second.again():
        assert not torch.equal(torch.rand(3), one)


def test_evaluating_gives_each_module_its_own_mode_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Linear(1, 1)))
    model[1][0].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
    with pytest.raises(RuntimeError), evaluating(model):
        raise RuntimeError
    assert [module.training for module in model.modules()] == [True, True, True, False, True]


A = torch.tensor([[0.6, -0.8], [0.0, 2.0], [1.0, 0.0]])
"""(L, E) weights of the linear model: logit = <A, e>."""
LABELS = torch.tensor([1.0, -1.0])
E = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
MASK = torch.ones(2, 3, 1)


def start(rule: StepRule, value: Tensor | None = None) -> Delta:
    return Delta(torch.zeros_like(E) if value is None else value, MASK, rule)


def logistic(point: Variable) -> Tensor:
    """(B,) log(1 + exp(-y <A, e + delta>)): convex in delta."""
    return softplus(-LABELS * (point(E) * A).flatten(1).sum(1))


# ---- the generator ----


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_ascend_yields_the_start_and_a_point_for_each_gradient(steps: int) -> None:
    points = ascend(start(StepRule(1.0, norm="none")), steps)
    point = next(points)
    for number in range(steps):
        assert point.value.requires_grad and point.value.is_leaf
        assert torch.equal(point.value, torch.full_like(E, float(number)))
        point = points.send((torch.ones_like(E),))
    # No gradient of the last point is computed.
    assert not point.value.requires_grad and torch.equal(point.value, torch.full_like(E, float(steps)))
    with pytest.raises(StopIteration):
        points.send((torch.ones_like(E),))


def test_points_are_immutable() -> None:
    value = torch.zeros_like(E)
    first = start(StepRule(1.0), value)
    first.moved((torch.ones_like(E),))
    first.attached()
    assert not value.any() and not value.requires_grad


def test_climb_of_no_steps_makes_no_pass() -> None:
    assert list(climb(start(StepRule(1.0)), 0, lambda point: pytest.fail("a pass"))) == []


def test_climb_reports_each_step() -> None:
    rule = StepRule(0.1)
    steps = list(climb(start(rule), 3, logistic))
    assert len(steps) == 3
    for step, following in itertools.pairwise(steps):
        assert torch.equal(step.after.leaves[0], following.before.leaves[0])
    for step in steps:
        assert torch.allclose(step.losses, logistic(step.before)) and not step.losses.requires_grad
        (expected,) = torch.autograd.grad(logistic(step.before).sum(), step.before.leaves)
        assert torch.allclose(step.gradients[0], expected)
        assert torch.allclose(step.after.leaves[0], rule(step.before.leaves[0], expected))


# ---- parameters ----


def network() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_climb_leaves_no_gradient_on_parameters(create_graph: bool) -> None:
    model = network()
    *_, _last = climb(start(StepRule(0.1)), 3, lambda p: model(p(E)).squeeze(1), create_graph=create_graph)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_gradients_accumulated_before_stay_as_they_were() -> None:
    model = network()
    model(E).sum().backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]
    *_, _last = climb(start(StepRule(0.1)), 3, lambda p: model(p(E)).squeeze(1))
    for parameter, gradient in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_create_graph_keeps_gradients_differentiable_by_the_parameters() -> None:
    model = network()
    (step,) = climb(start(StepRule(0.1)), 1, lambda p: model(p(E)).squeeze(1), create_graph=True)
    found = torch.autograd.grad(step.gradients[0].square().sum(), model[1].weight)[0]

    def size(shift: float) -> float:
        with torch.no_grad():
            model[1].weight[0, 0] += shift
        (again,) = climb(start(StepRule(0.1)), 1, lambda p: model(p(E)).squeeze(1))
        with torch.no_grad():
            model[1].weight[0, 0] -= shift
        return again.gradients[0].square().sum().item()

    assert found[0, 0].item() == pytest.approx((size(1e-2) - size(-1e-2)) / 2e-2, rel=1e-2)
    (plain,) = climb(start(StepRule(0.1)), 1, lambda p: model(p(E)).squeeze(1))
    assert not plain.gradients[0].requires_grad and not plain.after.leaves[0].requires_grad


def test_with_a_graph_the_next_point_is_still_a_constant() -> None:
    model = network()
    steps = list(climb(start(StepRule(0.1)), 2, lambda p: model(p(E)).squeeze(1), create_graph=True))
    assert all(step.before.leaves[0].is_leaf and not step.after.leaves[0].grad_fn for step in steps)


@pytest.mark.parametrize("norm", ["l2", "none"])
def test_the_scale_of_the_loss_changes_nothing(norm: Any) -> None:
    plain, scaled = (list(climb(start(StepRule(0.1, norm=norm)), 3, logistic, scale))[-1] for scale in (1.0, 1024.0))
    assert torch.allclose(plain.after.leaves[0], scaled.after.leaves[0], atol=1e-7)
    assert torch.allclose(plain.gradients[0], scaled.gradients[0]) and torch.equal(plain.losses, scaled.losses)


def test_the_scale_saves_small_half_precision_gradients() -> None:
    def losses(point: Variable) -> Tensor:
        small = torch.tensor(1.5e-4).half()  # its square is 0 in half precision
        return (point(E).half() * small * small).float().flatten(1).sum(1)

    lost, kept = (next(climb(start(StepRule(0.1)), 1, losses, scale)) for scale in (1.0, 1024.0))
    assert not lost.after.leaves[0].any()
    assert torch.allclose(sample_norm(kept.after.leaves[0]), torch.tensor(0.1), rtol=1e-3)


# ---- closed forms ----


def test_FGM_one_step_on_a_linear_model_is_minus_eps_y_a_over_its_norm() -> None:
    (step,) = climb(start(StepRule(0.7)), 1, logistic)
    assert torch.allclose(step.after.leaves[0], -0.7 * LABELS.view(2, 1, 1) * A / A.norm(), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 4])
def test_FREELB_on_a_linear_model_each_step_goes_the_same_way(steps: int) -> None:
    noise = torch.randn_like(E) * 0.1
    last = list(climb(start(StepRule(0.3), noise), steps, logistic))[-1].after
    assert torch.allclose(last.leaves[0], noise - steps * 0.3 * LABELS.view(2, 1, 1) * A / A.norm(), atol=1e-5)


def test_raw_steps_on_a_linear_model_in_closed_form() -> None:
    (step,) = climb(start(StepRule(0.3, norm="none")), 1, logistic)
    margin = LABELS * (E * A).flatten(1).sum(1)
    gradient = (-LABELS * torch.sigmoid(-margin)).view(2, 1, 1) * A
    assert torch.allclose(step.after.leaves[0], 0.3 * gradient, atol=1e-6)


@settings(max_examples=30)
@given(
    norm=st.sampled_from(["l2", "linf", "sign", "token_l2", "none"]),
    steps=st.integers(1, 6),
    alpha=st.floats(0.01, 1.0),
    radius=st.sampled_from([0.0, 0.4]),
)
def test_PGD_a_convex_loss_never_falls_and_the_norm_grows_by_alpha_at_most(
    norm: Any, steps: int, alpha: float, radius: float
) -> None:
    found = list(climb(start(StepRule(alpha, radius, norm)), steps, logistic))
    assert (logistic(found[-1].after) >= found[0].losses - 1e-5).all()
    if norm == "l2":
        for step in found:
            grown = sample_norm(step.after.leaves[0]) - sample_norm(step.before.leaves[0])
            assert (grown <= alpha + 1e-5).all()
        if radius:
            assert (sample_norm(found[-1].after.leaves[0]) <= radius + 1e-5).all()


def test_the_radius_is_on_what_has_accumulated() -> None:
    sizes = [sample_norm(s.after.leaves[0]) for s in climb(start(StepRule(0.3, 0.5)), 4, logistic)]
    assert torch.allclose(torch.stack(sizes)[:, 0].flatten(), torch.tensor([0.3, 0.5, 0.5, 0.5]), atol=1e-5)
