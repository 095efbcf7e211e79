"""SemRoDe's distance between batches and its alternatives: values that are known, and a naive loop."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from hf_robust.losses import coral, mmd, sinkhorn

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
DISTANCES = {"mmd": mmd, "coral": coral, "sinkhorn": sinkhorn}
X, Y = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=DISTANCES)
def distance(request: pytest.FixtureRequest) -> Distance:
    return DISTANCES[request.param]


def test_equal_batches_are_at_zero_and_order_does_not_count(distance: Distance) -> None:
    assert distance(X, X).item() == pytest.approx(0.0, abs=1e-6)
    assert distance(X, X.flip(0)).item() == pytest.approx(0.0, abs=1e-5)
    assert distance(X, 2 * Y).item() > 0


def test_symmetric_also_for_batches_of_two_sizes(distance: Distance) -> None:
    assert distance(X, Y[:3]).item() == pytest.approx(distance(Y[:3], X).item(), abs=1e-5)


@pytest.mark.parametrize("name", ["mmd", "sinkhorn"])
def test_grows_with_a_shift_of_the_mean(name: str) -> None:
    values = [DISTANCES[name](X, X + shift).item() for shift in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert values == sorted(values)
    assert values[1] > 1e-3


def test_coral_sees_the_covariance_alone() -> None:
    assert coral(X, X + 3).item() == pytest.approx(0.0, abs=1e-6)
    line = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])  # covariance diag(2, 0); doubled: diag(8, 0)
    assert coral(line, 2 * line).item() == pytest.approx(36 / 16)


def test_equal_rows_give_zero_and_a_finite_gradient(distance: Distance) -> None:
    rows = torch.ones(3, 4, requires_grad=True)
    value = distance(rows, torch.ones(2, 4))
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert torch.isfinite(rows.grad).all()


def test_no_rows_give_zero_and_a_finite_gradient(distance: Distance) -> None:
    rows = torch.ones(3, 4, requires_grad=True)
    value = distance(rows, torch.empty(0, 4))
    value.backward()
    assert value.item() == 0.0
    assert torch.equal(rows.grad, torch.zeros(3, 4))


def test_equals_a_naive_loop() -> None:
    rows = [*X.tolist(), *Y.tolist()]
    squares = [[math.dist(a, b) ** 2 for b in rows] for a in rows]
    sigma = sum(map(sum, squares)) / (14 * 13)

    def mean(left: range, right: range) -> float:
        pairs = [(i, j) for i in left for j in right]
        return sum(math.exp(-squares[i][j] / (sigma / 4 * 2**k)) for i, j in pairs for k in range(5)) / len(pairs)

    x, y = range(7), range(7, 14)
    assert mmd(X, Y).item() == pytest.approx(mean(x, x) + mean(y, y) - mean(x, y) - mean(y, x), abs=1e-5)


def test_the_bandwidth_is_a_constant_for_the_gradient() -> None:
    # With two single rows every kernel is at d^2 / sigma = 1: a bandwidth with a gradient would cancel it to 0.
    one, other = torch.zeros(1, 2, requires_grad=True), torch.tensor([[1.0, 0.0]])
    mmd(one, other).backward()
    assert one.grad[0, 0].item() < -0.1


def test_sinkhorn_between_single_rows_is_their_squared_distance() -> None:
    assert sinkhorn(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).item() == pytest.approx(25.0, rel=1e-5)


def test_float32_under_autocast(distance: Distance) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = distance(X, Y)
    assert torch.equal(cast, distance(X, Y))
    assert distance(X.bfloat16(), Y.bfloat16()).dtype == torch.float32
