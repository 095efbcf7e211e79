"""Gamma and Dirichlet draws from a text's own noise: their distributions, limits and independence."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from hf_robust.adversary import Noise, dirichlet
from hf_robust.adversary.dirichlet import log_gamma_variates

ROWS, LENGTH = 400, 25


def texts(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 30_000, (ROWS, LENGTH), generator=torch.Generator().manual_seed(seed))
    return ids, torch.ones_like(ids)


@pytest.mark.parametrize("shape", [0.1, 0.5, 1.0, 3.0])
def test_variates_have_the_gamma_distribution(shape: float) -> None:
    drawn = log_gamma_variates(torch.full((ROWS, LENGTH, 2), shape), Noise(0, 3), *texts())
    found = drawn.flatten().double().numpy()
    assert stats.kstest(found, lambda x: stats.loggamma(shape).cdf(x)).pvalue > 1e-3


def test_a_tiny_shape_does_not_underflow() -> None:
    drawn = log_gamma_variates(torch.full((ROWS, LENGTH, 2), 1e-3), Noise(0, 3), *texts())
    assert drawn.isfinite().all() and drawn.exp().eq(0).float().mean() > 0.5


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_each_weight_has_its_beta_distribution(alpha: float) -> None:
    shares = torch.tensor([1.0, 1.0, 0.5, 0.0]).expand(ROWS, LENGTH, 4)
    weights = dirichlet(shares, alpha, Noise(0, 0), *texts())
    assert torch.allclose(weights.sum(-1), torch.ones(ROWS, LENGTH), atol=1e-5) and weights[..., 3].eq(0).all()
    for place, share in enumerate((1.0, 1.0, 0.5)):
        law = stats.beta(alpha * share, alpha * (2.5 - share))
        assert stats.kstest(weights[..., place].flatten().double().numpy(), law.cdf).pvalue > 1e-3


def test_alpha_zero_draws_one_vertex_in_proportion_to_the_shares() -> None:
    shares = torch.tensor([1.0, 1.0, 0.5, 0.0]).expand(ROWS, LENGTH, 4)
    weights = dirichlet(shares, 0.0, Noise(0, 0), *texts())
    assert weights.sum(-1).eq(1).all() and weights.max(-1).values.eq(1).all()
    counts = weights.sum((0, 1))
    assert counts[3] == 0 and stats.chisquare(counts[:3].numpy(), ROWS * LENGTH * shares[0, 0, :3] / 2.5).pvalue > 1e-3


def test_a_small_alpha_comes_near_that_limit() -> None:
    shares = torch.tensor([1.0, 1.0, 0.5, 0.0]).expand(ROWS, LENGTH, 4)
    weights = dirichlet(shares, 1e-3, Noise(0, 0), *texts())
    assert weights.max(-1).values.gt(0.99).float().mean() > 0.99
    assert torch.allclose(weights.mean((0, 1)), shares[0, 0] / 2.5, atol=0.02)


def test_texts_places_steps_and_draws_all_have_their_own_weights() -> None:
    ids, mask = texts()
    shares = torch.ones(ROWS, LENGTH, 3)
    found = [dirichlet(shares, 1.0, Noise(0, step, draw), ids, mask) for step, draw in ((0, 0), (1, 0), (0, 13))]
    drawn = torch.cat([one.view(-1, 3) for one in found])
    assert len(drawn.unique(dim=0)) > 0.999 * len(drawn)
    for first, second in ((found[0], found[1]), (found[0], found[2]), (found[0][1:], found[0][:-1])):
        pair = torch.stack([first.flatten(), second.flatten()])
        assert pair.corrcoef()[0, 1].abs() < 0.02


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_weights_do_not_depend_on_batch_or_padding(alpha: float) -> None:
    ids, mask = torch.tensor([[5, 6, 7], [8, 9, 10]]), torch.ones(2, 3, dtype=torch.long)
    shares = torch.ones(2, 3, 4)
    both = dirichlet(shares, alpha, Noise(0, 0), ids, mask)
    assert torch.equal(dirichlet(shares[1:], alpha, Noise(0, 0), ids[1:], mask[1:]), both[1:])
    padded = torch.nn.functional.pad(ids, (2, 1)), torch.nn.functional.pad(mask, (2, 1))
    assert torch.equal(dirichlet(torch.ones(2, 6, 4), alpha, Noise(0, 0), *padded)[:, 2:5], both)
    wider = torch.nn.functional.pad(shares, (0, 3))
    assert torch.allclose(dirichlet(wider, alpha, Noise(0, 0), ids, mask)[..., :4], both, atol=1e-6)
