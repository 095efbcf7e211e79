"""Flooding as a pure function: values, gradients, and what a log sees of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.losses import flood, flooded


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
