"""Divergences against closed forms, a loop, finite differences and each other; values and gradients of flooding."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import kl_div, log_softmax, softmax

from hf_robust.losses import flood, flooded, kl, sample_kl, sample_symmetric_kl, symmetric_kl


def gradient(function: object, loss: float, level: float) -> tuple[float, float]:
    leaf = torch.tensor(loss, dtype=torch.float64, requires_grad=True)
    value = function(leaf, level)  # type: ignore[operator]
    value.backward()
    assert leaf.grad is not None
    return value.item(), leaf.grad.item()


@pytest.mark.parametrize(("loss", "value", "slope"), [(0.3, 0.3, 1.0), (0.05, 0.15, -1.0)])
def test_descends_above_the_level_and_ascends_below(loss: float, value: float, slope: float) -> None:
    assert gradient(flood, loss, 0.1) == (pytest.approx(value), slope)


def test_at_the_level_nothing_moves() -> None:
    assert gradient(flood, 0.1, 0.1) == (0.1, 0.0)


@given(loss=st.floats(0, 10), level=st.floats(0, 10))
def test_flooded_has_the_loss_s_value_and_the_flood_s_gradient(loss: float, level: float) -> None:
    value, slope = gradient(flooded, loss, level)
    raised, raised_slope = gradient(flood, loss, level)
    assert value == loss and slope == raised_slope
    assert raised >= level


@given(losses=st.lists(st.floats(0, 10), min_size=1, max_size=6), level=st.floats(0, 10))
def test_the_mean_of_floods_is_not_below_the_flood_of_the_mean(losses: list[float], level: float) -> None:
    parts = torch.tensor(losses, dtype=torch.float64)
    assert flood(parts, level).mean() >= flood(parts.mean(), level) - 1e-12


def test_one_value_for_each_device_is_flooded_as_their_mean() -> None:
    losses = torch.tensor([0.0, 0.3], requires_grad=True)
    value = flooded(losses, 0.1)
    value.backward()
    assert value.item() == pytest.approx(0.15)
    assert losses.grad is not None and losses.grad.tolist() == [0.5, 0.5]


P, Q = torch.tensor([[1.0, -0.5, 0.2], [0.0, 2.0, 0.3]]), torch.tensor([[0.1, 0.7, -1.0], [1.0, 0.4, 0.0]])


@pytest.mark.parametrize("a", [-3.0, 0.0, 0.5, 2.0, 40.0])
def test_two_classes_have_a_closed_form(a: float) -> None:
    even, tilted = torch.tensor([[0.0, 0.0]]), torch.tensor([[a, 0.0]])
    share = 1 / (1 + math.exp(-a))
    assert sample_kl(even, tilted).item() == pytest.approx(-math.log(2) - a / 2 + math.log1p(math.exp(a)), abs=1e-5)
    assert symmetric_kl(even, tilted).item() == pytest.approx((share - 0.5) * a, rel=1e-5, abs=1e-7)


def test_the_first_argument_is_the_one_that_weighs() -> None:
    p, q = softmax(P, -1).tolist(), softmax(Q, -1).tolist()
    expected = [
        sum(a * (math.log(a) - math.log(b)) for a, b in zip(*rows, strict=True)) for rows in zip(p, q, strict=True)
    ]
    assert sample_kl(P, Q).tolist() == pytest.approx(expected, rel=1e-5)
    assert kl(P, Q).item() == pytest.approx(kl_div(log_softmax(Q, -1), softmax(P, -1), reduction="batchmean").item())
    assert abs(kl(P, Q).item() - kl(Q, P).item()) > 0.01


logits = st.lists(st.floats(-30, 30), min_size=3, max_size=3)


@settings(max_examples=50, deadline=None)
@given(logits, logits)
def test_never_negative_and_symmetric(first: list[float], second: list[float]) -> None:
    one, two = torch.tensor([first]), torch.tensor([second])
    assert sample_kl(one, two).item() >= -1e-5
    assert symmetric_kl(one, two).item() == pytest.approx(symmetric_kl(two, one).item(), rel=1e-5, abs=1e-5)
    assert symmetric_kl(one, two).item() == pytest.approx((kl(one, two) + kl(two, one)).item())


@pytest.mark.parametrize("divergence", [kl, symmetric_kl, lambda p, q: symmetric_kl(p, q, detach_targets=True)])
def test_equal_logits_have_value_and_gradient_0(divergence: object) -> None:
    first, second = P.clone().requires_grad_(), P.clone().requires_grad_()
    value = divergence(first, second)  # type: ignore[operator]
    assert value.item() == 0.0
    for gradient in torch.autograd.grad(value, (first, second)):
        assert gradient.abs().max() < 1e-7


def test_detached_targets_keep_the_value_and_give_the_difference_of_the_predictions() -> None:
    first, second = P.clone().requires_grad_(), Q.clone().requires_grad_()
    value = sample_symmetric_kl(first, second, detach_targets=True)
    assert torch.equal(value, sample_symmetric_kl(P, Q))
    gradients = torch.autograd.grad(value.sum(), (first, second))
    difference = softmax(P, -1) - softmax(Q, -1)
    assert torch.allclose(gradients[0], difference, atol=1e-6) and torch.allclose(gradients[1], -difference, atol=1e-6)
    whole = torch.autograd.grad(sample_symmetric_kl(first, second).sum(), (first, second))
    assert (whole[0] - gradients[0]).abs().max() > 0.05


@pytest.mark.parametrize("argument", [0, 1])
def test_finite_differences_of_both_arguments(argument: int) -> None:
    pair = [P.clone(), Q.clone()]
    pair[argument].requires_grad_()
    (gradient,) = torch.autograd.grad(kl(*pair), pair[argument])
    assert gradient.abs().max() > 0.01
    for row, column in [(0, 0), (0, 2), (1, 1)]:
        values = []
        for sign in (1, -1):
            moved = [P.clone(), Q.clone()]
            moved[argument][row, column] += sign * 1e-2
            values.append(kl(*moved).item())
        assert gradient[row, column].item() == pytest.approx((values[0] - values[1]) / 2e-2, abs=2e-4)


def test_the_mean_does_not_grow_with_the_batch() -> None:
    assert symmetric_kl(P.repeat(4, 1), Q.repeat(4, 1)).item() == pytest.approx(symmetric_kl(P, Q).item())
    assert sample_kl(P, Q).mean() == kl(P, Q) and sample_kl(P, Q).shape == (2,)


def test_computed_in_float32() -> None:
    half = sample_kl(P.to(torch.bfloat16), Q.to(torch.bfloat16))
    assert half.dtype == torch.float32
    assert torch.equal(half, sample_kl(P.to(torch.bfloat16).float(), Q.to(torch.bfloat16).float()))


def test_of_several_labels_it_is_the_mean_of_bernoulli_divergences() -> None:
    first, second = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 3, torch.zeros(5, 3)
    second[:, 1] = 2.0
    p, q = torch.distributions.Bernoulli(logits=first), torch.distributions.Bernoulli(logits=second)
    expected = torch.distributions.kl_divergence(p, q).mean(1)
    assert torch.allclose(sample_kl(first, second, multi_label=True), expected, atol=1e-6)
    both = expected + torch.distributions.kl_divergence(q, p).mean(1)
    assert torch.allclose(sample_symmetric_kl(first, second, multi_label=True), both, atol=1e-6)


def test_of_one_label_it_is_that_of_the_two_classes_of_a_softmax() -> None:
    first, second = torch.tensor([[1.3], [-40.0]]), torch.tensor([[-0.4], [40.0]])
    zeros = torch.zeros(2, 1)
    classes = sample_kl(torch.cat([first, zeros], 1), torch.cat([second, zeros], 1))
    assert torch.allclose(sample_kl(first, second, multi_label=True), classes)
