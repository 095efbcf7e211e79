"""Dirichlet weights from a text's own random numbers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hf_robust.adversary.noise import Noise

_ROUNDS = 6
DIRICHLET_DRAWS = 1 + 2 * _ROUNDS
"""Consecutive ``draw`` numbers of a :class:`Noise` that one call of :func:`dirichlet` takes."""


def log_gamma_variates(shape: Tensor, noise: Noise, ids: Tensor, mask: Tensor) -> Tensor:
    r"""(B, L, N) logarithms of draws from Gamma(``shape``, 1), ``shape`` (B, L, N) above 0.

    Marsaglia and Tsang 2000 for shape + 1, times :math:`U^{1/shape}`, in logarithms, so that a small shape does not
    underflow. Their method refuses a proposal once in twenty at most; here each number has six proposals, so that
    the rejections, too, depend on nothing but the text. Where all six are refused (less than one number in sixty
    million) the mode stands in.

    ``ids`` and ``mask`` (B, L) are as in :meth:`Noise.uniform`.
    """
    width, scale = shape.shape[-1], shape + 2 / 3

    def log_uniform(draw: int) -> Tensor:
        return ((replace(noise, draw=noise.draw + draw).uniform(ids, mask, width) + 1) / 2).log()

    drawn, waiting = scale.log(), torch.ones_like(shape, dtype=torch.bool)
    for number in range(1, DIRICHLET_DRAWS, 2):
        normal = replace(noise, draw=noise.draw + number).normal(ids, mask, width)
        root = 1 + normal / (3 * scale.sqrt())
        cube, log_cube = root**3, 3 * root.clamp(min=1e-30).log()
        bound = normal**2 / 2 + scale * (1 - cube + log_cube)
        accepted = waiting & (root > 0) & (log_uniform(number + 1) < bound)
        drawn = torch.where(accepted, scale.log() + log_cube, drawn)
        waiting = waiting & ~accepted
    return drawn + log_uniform(0) / shape


def dirichlet(shares: Tensor, alpha: float, noise: Noise, ids: Tensor, mask: Tensor) -> Tensor:
    """(B, L, N) weights from Dirichlet(``alpha`` * ``shares``), of sum 1 over N.

    Args:
        shares: (B, L, N), 0 where there is nothing to draw, and above 0 somewhere for each token.
        alpha: how even the weights are; 0 is the limit, one vertex with all the weight, drawn in proportion to its
            share.
        noise, ids, mask: as in :meth:`Noise.uniform`; :data:`DIRICHLET_DRAWS` numbers of ``draw`` are used.
    """
    held, width = shares > 0, shares.shape[-1]
    if alpha > 0:
        logits = log_gamma_variates(torch.where(held, alpha * shares, 1.0), noise, ids, mask)
        return logits.masked_fill(~held, -torch.inf).softmax(-1)
    # Of exponential clocks, each at its share's rate, the first to ring.
    clocks = ((noise.uniform(ids, mask, width) + 1) / 2).log() / torch.where(held, shares, 1.0)
    first = clocks.masked_fill(~held, -torch.inf).argmax(-1)
    return torch.nn.functional.one_hot(first, width).float()
