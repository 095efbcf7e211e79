"""Dirichlet mixture weights, drawn from the random numbers that belong to a text."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hf_robust.adversary.noise import Noise

_ROUNDS = 6
DIRICHLET_DRAWS = 1 + 2 * _ROUNDS
"""Number of consecutive ``draw`` values of :class:`Noise` that one call of :func:`dirichlet` uses."""


def log_gamma_variates(shape: Tensor, noise: Noise, ids: Tensor, mask: Tensor) -> Tensor:
    r"""(B, L, N) logarithms of draws from Gamma(``shape``, 1), with ``shape`` (B, L, N) above 0.

    Computes the draw of Marsaglia and Tsang 2000 for shape + 1, times :math:`U^{1/shape}`, in logarithms, so that a
    small shape does not underflow. Their method rejects at most one proposal in twenty. Here each number has six
    proposals, so that the rejections also depend on the text alone. If all six are rejected (less than one number in
    sixty million), the result is the mode.

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
    """(B, L, N) mixture weights from Dirichlet(``alpha`` * ``shares``), with sum 1 over N.

    Args:
        shares: (B, L, N), 0 where there is no vertex; each token has at least one share above 0.
        alpha: concentration; a larger alpha gives more even weights. 0 is the limit: one vertex has all the weight,
            drawn in proportion to its share.
        noise, ids, mask: as in :meth:`Noise.uniform`; the call uses :data:`DIRICHLET_DRAWS` values of ``draw``.
    """
    present, width = shares > 0, shares.shape[-1]
    if alpha > 0:
        logits = log_gamma_variates(torch.where(present, alpha * shares, 1.0), noise, ids, mask)
        return logits.masked_fill(~present, -torch.inf).softmax(-1)
    # Each vertex has an exponential waiting time with its share as rate; the shortest one wins.
    clocks = ((noise.uniform(ids, mask, width) + 1) / 2).log() / torch.where(present, shares, 1.0)
    first = clocks.masked_fill(~present, -torch.inf).argmax(-1)
    return torch.nn.functional.one_hot(first, width).float()
