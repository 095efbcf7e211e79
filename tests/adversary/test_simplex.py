"""The projection onto the simplex against a search for its threshold and an optimiser."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize

from hf_robust.adversary import project_simplex

vectors = st.lists(st.floats(-5.0, 5.0, width=32), min_size=1, max_size=8)


@given(vectors)
def test_projection_equals_the_threshold_found_by_bisection(values: list[float]) -> None:
    threshold = brentq(lambda t: sum(max(v - t, 0.0) for v in values) - 1.0, min(values) - 2.0, max(values))
    expected = torch.tensor([max(v - threshold, 0.0) for v in values])
    assert torch.allclose(project_simplex(torch.tensor(values)), expected, atol=1e-5)


@given(vectors)
def test_projection_is_on_the_simplex_idempotent_and_keeps_the_order(values: list[float]) -> None:
    point = project_simplex(torch.tensor(values))
    assert point.min() >= 0 and point.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(project_simplex(point), point, atol=1e-6)
    order = torch.tensor(values).argsort()
    assert (point[order].diff() >= 0).all()


@given(vectors, st.floats(-100.0, 100.0))
def test_a_shift_of_all_values_changes_nothing(values: list[float], shift: float) -> None:
    first, second = project_simplex(torch.tensor(values)), project_simplex(torch.tensor(values) + shift)
    assert torch.allclose(first, second, atol=1e-4)


@given(vectors, vectors)
def test_no_point_of_the_simplex_is_nearer(values: list[float], other: list[float]) -> None:
    target = torch.tensor(values)
    somewhere = torch.tensor((other * 8)[: len(values)]).softmax(0)
    assert (target - project_simplex(target)).norm() <= (target - somewhere).norm() + 1e-5


def test_projection_equals_a_constrained_optimiser() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        values = torch.randn(5, generator=generator).double().numpy()
        found = minimize(
            lambda w, v=values: ((w - v) ** 2).sum(),
            [0.2] * 5,
            bounds=[(0, 1)] * 5,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-12},
        ).x
        assert torch.allclose(project_simplex(torch.tensor(values)), torch.tensor(found), atol=1e-5)


@pytest.mark.parametrize("size", [1e4, 1e8, 1e20])
def test_large_values_stay_on_the_simplex(size: float) -> None:
    point = project_simplex(torch.tensor([size, size, -size]))
    assert torch.allclose(point, torch.tensor([0.5, 0.5, 0.0]))
    assert torch.allclose(project_simplex(torch.tensor([size, 0.0])), torch.tensor([1.0, 0.0]))
