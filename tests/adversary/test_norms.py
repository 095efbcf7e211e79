"""Steps and radii: closed forms and properties for every norm, and SMART's step onto a sphere of each token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hf_robust.adversary import (
    NORMS,
    Adversary,
    Delta,
    Noise,
    StepRule,
    TokenAware,
    TokenSphere,
    sample_norm,
    token_norm,
)
from hf_robust.adversary.norms import Norm
from hf_robust.adversary.token_aware import token_scale


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


SIZES: dict[str, Any] = {
    "l2": sample_norm,
    "none": sample_norm,
    "linf": lambda v: v.abs().amax(dim=(1, 2), keepdim=True),
    "sign": lambda v: v.abs().amax(dim=(1, 2), keepdim=True),
    "token_l2": token_norm,
}
norms = st.sampled_from(NORMS)
seeds = st.integers(0, 10_000)


def values(seed: int, scale: float = 1.0) -> Tensor:
    """(3, 4, 5); the last row's last position is padding."""
    found = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(seed)) * scale
    found[2, 3] = 0.0
    return found


@pytest.mark.parametrize(
    ("norm", "direction"),
    [
        ("l2", [[[0.6, 0.0], [0.0, -0.8]]]),
        ("linf", [[[0.75, 0.0], [0.0, -1.0]]]),
        ("sign", [[[1.0, 0.0], [0.0, -1.0]]]),
        ("token_l2", [[[1.0, 0.0], [0.0, -1.0]]]),
        ("none", [[[3.0, 0.0], [0.0, -4.0]]]),
    ],
)
def test_direction_in_closed_form(norm: Norm, direction: list[Any]) -> None:
    gradient = torch.tensor([[[3.0, 0.0], [0.0, -4.0]]])
    assert torch.allclose(StepRule(1.0, norm=norm).direction(gradient), torch.tensor(direction))


@pytest.mark.parametrize(
    ("norm", "inside"),
    [
        ("l2", [[[1.2, 0.0], [0.0, -1.6]]]),
        ("linf", [[[2.0, 0.0], [0.0, -2.0]]]),
        ("sign", [[[2.0, 0.0], [0.0, -2.0]]]),
        ("token_l2", [[[2.0, 0.0], [0.0, -2.0]]]),
        ("none", [[[1.2, 0.0], [0.0, -1.6]]]),
    ],
)
def test_projection_in_closed_form(norm: Norm, inside: list[Any]) -> None:
    delta = torch.tensor([[[3.0, 0.0], [0.0, -4.0]]])
    assert torch.allclose(StepRule(1.0, 2.0, norm).project(delta), torch.tensor(inside))
    assert torch.equal(StepRule(1.0, 5.0, norm).project(delta), delta)
    assert torch.equal(StepRule(1.0, 0.0, norm).project(delta), delta)


@given(norm=norms, seed=seeds, radius=st.floats(0.01, 10.0), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_projection_stays_inside_and_is_idempotent(norm: Norm, seed: int, radius: float, scale: float) -> None:
    rule, delta = StepRule(1.0, radius, norm), values(seed, scale)
    once = rule.project(delta)
    assert (SIZES[norm](once) <= radius * (1 + 1e-5)).all()
    assert torch.allclose(rule.project(once), once, rtol=1e-6)
    outside = SIZES[norm](delta) > radius
    assert torch.equal(once[~outside.expand_as(once)], delta[~outside.expand_as(delta)])


@given(norm=norms, seed=seeds, alpha=st.floats(0.001, 10.0), scale=st.sampled_from([1e-5, 1.0, 1e5]))
def test_a_step_is_alpha_long(norm: Norm, seed: int, alpha: float, scale: float) -> None:
    gradient = values(seed, scale)
    step = StepRule(alpha, norm=norm)(torch.zeros_like(gradient), gradient)
    if norm == "none":
        assert torch.allclose(step, alpha * gradient)
        return
    length = SIZES[norm](step)
    real = SIZES[norm](gradient) > 0
    assert torch.allclose(length[real], torch.tensor(alpha), rtol=1e-4)
    assert (step[gradient == 0] == 0).all()


@given(norm=norms, seed=seeds, radius=st.sampled_from([0.0, 0.5]))
def test_other_samples_change_nothing(norm: Norm, seed: int, radius: float) -> None:
    rule, gradient, delta = StepRule(0.3, radius, norm), values(seed), values(seed + 1)
    together = rule(delta, gradient)
    alone = torch.cat([rule(delta[row : row + 1], gradient[row : row + 1]) for row in range(3)])
    assert torch.equal(together, alone)


@given(norm=norms, seed=seeds, radius=st.sampled_from([0.0, 0.5]))
def test_padding_changes_nothing(norm: Norm, seed: int, radius: float) -> None:
    rule, gradient, delta = StepRule(0.3, radius, norm), values(seed), values(seed + 1)
    wide = [torch.nn.functional.pad(tensor, (0, 0, 0, 5)) for tensor in (delta, gradient)]
    moved = rule(*wide)
    assert torch.allclose(moved[:, :4], rule(delta, gradient), atol=1e-6) and not moved[:, 4:].any()


@pytest.mark.parametrize("norm", NORMS)
def test_a_gradient_of_zero_moves_nothing(norm: Norm) -> None:
    delta = values(0)
    assert torch.equal(StepRule(1.0, norm=norm)(delta, torch.zeros_like(delta)), delta)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite_keeps_its_own_sample(norm: Norm, bad: float) -> None:
    rule, gradient, delta = StepRule(0.3, 0.5, norm), values(0), values(1)
    expected = rule(delta, gradient)
    gradient[1, 2, 3] = bad
    moved = rule(delta, gradient)
    assert torch.equal(moved[1], delta[1]) and torch.equal(moved[[0, 2]], expected[[0, 2]])


def test_half_precision_gradients_are_normalised_in_float32() -> None:
    gradient = torch.full((1, 4, 4), 6e-8, dtype=torch.float16)  # its squares are 0 in float16
    step = StepRule(0.5)(torch.zeros(1, 4, 4), gradient)
    assert step.dtype == torch.float32 and step.norm().item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_token_aware_keeps_both_parts_of_its_sample(bad: float) -> None:
    start = TokenAware(values(0), values(1), torch.ones(3, 4, 1), StepRule(0.1, 0.5), 0.1)
    gradient = values(2)
    expected = start.moved((gradient,))
    gradient[0, 0, 0] = bad
    moved = start.moved((gradient,))
    assert torch.equal(moved.delta[0], start.delta[0]) and torch.equal(moved.eta[0], start.eta[0])
    assert torch.equal(moved.offset[1:], expected.offset[1:])


# ---- the start ----


def first(norm: Norm, lengths: list[int], magnitude: float, width: int = 64, draw: int = 0) -> Tensor:
    ids = torch.arange(len(lengths) * 40).view(len(lengths), 40)
    mask = (torch.arange(40) < torch.tensor(lengths).unsqueeze(1)).long()
    start = Adversary(2, StepRule(0.1, norm=norm), "climb", init_mag=magnitude)
    return start.start(ids, mask, width, Noise(0, 0, draw)).value


@pytest.mark.parametrize("norm", ["l2", "none"])
def test_expected_norm_is_mag_over_root_three_and_never_above_mag(norm: Norm) -> None:
    sizes = torch.stack([sample_norm(first(norm, [3, 17, 40], 0.6, draw=draw)).flatten() for draw in range(60)])
    assert (sizes <= 0.6).all()
    assert torch.allclose(sizes.mean(0), torch.tensor(0.6 / 3**0.5), rtol=0.02)  # whatever the length


def test_other_norms_start_within_mag_of_their_own_size() -> None:
    for norm in ("linf", "sign", "token_l2"):
        sizes = SIZES[norm](first(norm, [3, 17, 40], 0.6))
        assert (sizes <= 0.6).all() and sizes.max() > 0.3


@pytest.mark.parametrize("norm", NORMS)
def test_the_start_is_zero_at_padding_and_everywhere_without_noise(norm: Norm) -> None:
    start = first(norm, [3, 17, 40], 0.6)
    assert not start[0, 3:].any() and not start[1, 17:].any() and start[0, :3].all()
    assert not first(norm, [3, 17, 40], 0.0).any()


def test_a_text_without_a_perturbable_token_starts_at_zero() -> None:
    start = first("l2", [0, 3], 0.6)
    assert start.isfinite().all() and not start[0].any()


def test_gauss_start_is_mag_times_the_standard_normal() -> None:
    ids = torch.arange(64).view(2, 32)
    start = Adversary(1, StepRule(0.1), "climb", init_mag=1e-3, init="gauss")
    delta = start.start(ids, torch.ones_like(ids), 512, Noise(0, 0))
    assert delta.value.std().item() == pytest.approx(1e-3, rel=0.02)


def test_gradients_at_padding_are_not_followed() -> None:
    mask = torch.tensor([[[1.0], [1.0], [0.0]]])
    moved = Delta(torch.zeros(1, 3, 2), mask, StepRule(1.0)).moved((torch.ones(1, 3, 2),))
    assert torch.allclose(moved.value, torch.tensor([[[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]]))


# ---- TA-VAT's variable ----


@given(seed=seeds)
def test_TAVAT_token_scale_of_the_largest_token_is_one_and_of_others_at_most_one(seed: int) -> None:
    eta = values(seed)
    scale = token_scale(eta).squeeze(-1)
    assert scale.shape == (3, 4)
    assert torch.allclose(scale.amax(1), torch.ones(3)) and (scale <= 1).all() and (scale >= 0).all()
    assert torch.equal(scale.argmax(1), token_norm(eta).squeeze(-1).argmax(1))
    assert torch.equal(token_scale(torch.zeros(1, 2, 3)), torch.zeros(1, 2, 1))


@settings(max_examples=30)
@given(seed=seeds, radius=st.sampled_from([0.0, 0.3, 2.0]))
def test_token_aware_equals_the_printed_step(seed: int, radius: float) -> None:
    delta, eta, gradient = (values(seed + i) for i in range(3))
    mask = torch.ones(3, 4, 1)
    mask[2, 3] = 0.0
    moved = TokenAware(delta, eta, mask, StepRule(0.2, radius), 0.7).moved((gradient,))
    for row in range(3):
        g = gradient[row]
        d = delta[row] + 0.2 * g / g.norm()
        tokens = [eta[row, i] + 0.7 * (g[i] / g[i].norm() if g[i].any() else g[i]) for i in range(4)]
        largest = max(float(token.norm()) for token in tokens)
        e = torch.stack([token * token.norm() / largest for token in tokens])
        size = (d + e).norm()
        factor = radius / size if radius and size > radius else 1.0
        assert torch.allclose(moved.delta[row], d * factor, atol=1e-5)
        assert torch.allclose(moved.eta[row], e * factor, atol=1e-5)
    if radius:
        assert (sample_norm(moved.offset) <= radius * (1 + 1e-5)).all()
