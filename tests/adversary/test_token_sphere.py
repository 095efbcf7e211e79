"""SMART's step: a raw gradient, then each token on the sphere of its largest entry."""

from __future__ import annotations

import pytest
import torch

from hf_robust.adversary import TokenSphere


def test_one_step_by_hand() -> None:
    rule = TokenSphere(0.5, max_norm=0.1)
    delta = torch.tensor([[[1.0, 2.0], [0.0, 0.0], [-1.0, 0.0]]])
    gradient = torch.tensor([[[2.0, -2.0], [0.0, -8.0], [2.0, 0.0]]])
    assert torch.allclose(rule(delta, gradient), torch.tensor([[[0.1, 0.05], [0.0, -0.1], [0.0, 0.0]]]))


@pytest.mark.parametrize("radius", [1e-5, 1.0])
@pytest.mark.parametrize("size", [1e-9, 1e-5, 1.0, 1e6])
def test_every_token_ends_at_the_radius_however_small_it_was(radius: float, size: float) -> None:
    torch.manual_seed(0)
    delta, gradient = torch.randn(3, 4, 8) * size, torch.randn(3, 4, 8) * size
    delta[:, -1], gradient[:, -1] = 0.0, 0.0
    moved = TokenSphere(1e-3, radius)(delta, gradient)
    assert torch.allclose(moved[:, :-1].abs().amax(-1), torch.tensor(radius), rtol=1e-5)
    assert torch.equal(moved[:, -1], torch.zeros(3, 8))  # padding stays zero


def test_a_gradient_that_is_not_finite_keeps_the_delta() -> None:
    delta, gradient = torch.full((2, 3, 4), 0.5), torch.ones(2, 3, 4)
    gradient[0, 1, 2] = float("nan")
    moved = TokenSphere(1e-3, 1.0)(delta, gradient)
    assert torch.equal(moved[0], delta[0]) and torch.allclose(moved[1], torch.ones(3, 4))
