"""Relative sizes: the unit of a batch, and offsets in that unit."""

from __future__ import annotations

import pytest
import torch

from hf_robust.adversary import Adversary, Delta, Noise, Shift, StepRule, TokenAware, ascend, embedding_unit

MASK = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]).unsqueeze(-1)


def test_the_unit_is_the_mean_norm_of_the_tokens_that_may_be_perturbed() -> None:
    embeddings = torch.tensor([[[3.0, 4.0], [0.0, 1.0], [9.0, 9.0]], [[6.0, 8.0], [9.0, 9.0], [9.0, 9.0]]])
    assert embedding_unit(embeddings, MASK).item() == pytest.approx((5 + 1 + 10) / 3)
    assert embedding_unit(embeddings, torch.zeros_like(MASK)).item() == 0


def test_no_gradient_flows_into_the_unit() -> None:
    embeddings = torch.rand(2, 3, 4, requires_grad=True)
    assert not embedding_unit(embeddings, MASK).requires_grad
    offset = torch.rand(2, 3, 4)
    (gradient,) = torch.autograd.grad(Shift(offset, MASK, relative=True)(embeddings).sum(), [embeddings])
    assert torch.equal(gradient, torch.ones_like(gradient))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_offset_is_that_many_units(dtype: torch.dtype) -> None:
    embeddings, offset = torch.rand(2, 3, 4).to(dtype), torch.rand(2, 3, 4)
    unit = embedding_unit(embeddings, MASK)
    rule = StepRule(0.1)
    for relative in (
        Shift(offset, MASK, True),
        Delta(offset, MASK, rule, True),
        TokenAware(offset, torch.zeros_like(offset), MASK, rule, 0.1, True),
    ):
        assert torch.equal(relative(embeddings), (embeddings.float() + offset * unit).to(dtype))
    assert torch.equal(Shift(offset, MASK)(embeddings), (embeddings.float() + offset).to(dtype))


@pytest.mark.parametrize("rule", [StepRule(0.3, 0.5, norm) for norm in ("l2", "linf", "sign", "token_l2", "none")])  # type: ignore[arg-type]
@pytest.mark.parametrize("scale", [4.0, 0.25])
def test_embeddings_of_another_scale_get_the_same_ascent_at_that_scale(rule: StepRule, scale: float) -> None:
    """A loss of scaled embeddings and the inverse scale; powers of two, so that nothing is rounded."""
    torch.manual_seed(0)
    embeddings, weights = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    adversary = Adversary(3, rule, "climb", init_mag=0.2, relative=True)
    ids = torch.tensor([[5, 6, 0], [7, 0, 0]])

    def offsets(factor: float) -> list[torch.Tensor]:
        points = ascend(adversary.start(ids, MASK.squeeze(-1), 4, Noise(0, 0)), 3)
        point, seen = next(points), []
        for _ in range(3):
            moved = point(embeddings * factor)
            seen.append(moved.detach() - embeddings * factor)
            loss = (((moved / factor) * weights).sum((1, 2)).sin()).sum()
            point = points.send(torch.autograd.grad(loss, point.leaves))
        return [*seen, point(embeddings * factor) - embeddings * factor]

    for plain, scaled in zip(offsets(1.0), offsets(scale), strict=True):
        assert plain.abs().max() > 0
        assert torch.equal(plain * scale, scaled)
