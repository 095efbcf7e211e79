"""Distances between the distributions of two batches of embeddings: SemRoDe's loss and its alternatives."""

from __future__ import annotations

import math

import torch
from torch import Tensor

KERNELS = 5


def mmd(first: Tensor, second: Tensor) -> Tensor:
    r"""Squared maximum mean discrepancy with five Gaussian kernels (SemRoDe, Formento et al. 2024).

    .. math:: \overline{k(X,X)} + \overline{k(Y,Y)} - 2\,\overline{k(X,Y)},\qquad
        k(a,b)=\sum_{i=0}^{4} e^{-\|a-b\|^2 / (\sigma\,2^{i-2})}

    sigma is the mean squared distance between two different rows of the joint batch, a constant for the gradient; it
    is 1 if all rows are equal. The means include the diagonals, so that the value is never negative, and 0 for equal
    batches.

    Args:
        first, second: (B, H) and (C, H) of any float type; B and C may differ.

    Returns:
        A float32 scalar, also under autocast; 0, with a gradient of zeros, if one batch has no rows.

    >>> mmd(torch.eye(3), torch.eye(3)).item()
    0.0
    """
    if not len(first) or not len(second):
        return 0.0 * (first.float().sum() + second.float().sum())
    costs = _squared_distances(torch.cat([first, second]).float())
    count, rows = len(first), len(costs)
    sigma = _or_one(costs.detach().sum() / (rows * (rows - 1)))
    kernels = torch.stack([torch.exp(-costs / (sigma * 2.0 ** (i - KERNELS // 2))) for i in range(KERNELS)]).sum(dim=0)
    within = kernels[:count, :count].mean() + kernels[count:, count:].mean()
    return within - kernels[:count, count:].mean() - kernels[count:, :count].mean()


def coral(first: Tensor, second: Tensor) -> Tensor:
    r"""CORAL: ``||cov(X) - cov(Y)||_F^2 / (4 H^2)`` (Sun and Saenko 2016, Eq. 1). It ignores a shift of the mean.

    Arguments and return value as in :func:`mmd`. The covariance of a batch of one row is 0.
    """
    if not len(first) or not len(second):
        return 0.0 * (first.float().sum() + second.float().sum())
    with torch.autocast(first.device.type, enabled=False):
        difference = _covariance(first.float()) - _covariance(second.float())
    return difference.square().sum() / (4 * first.shape[1] ** 2)


def sinkhorn(first: Tensor, second: Tensor, blur: float = 0.1, iterations: int = 50) -> Tensor:
    r"""Debiased entropic optimal transport between the two batches (Feydy et al. 2019, Eq. 3).

    .. math:: OT_\varepsilon(X,Y) - \tfrac12 OT_\varepsilon(X,X) - \tfrac12 OT_\varepsilon(Y,Y),\qquad c=\|x-y\|^2

    Arguments and return value as in :func:`mmd`; ``blur`` is epsilon as a share of the mean cost between different
    rows of the joint batch, a constant for the gradient. The updates of both sides are averaged, so that the value is
    symmetric after any number of iterations.
    """
    if not len(first) or not len(second):
        return 0.0 * (first.float().sum() + second.float().sum())
    costs = _squared_distances(torch.cat([first, second]).float())
    count, rows = len(first), len(costs)
    epsilon = blur * _or_one(costs.detach().sum() / (rows * (rows - 1)))
    between = _transport(costs[:count, count:], epsilon, iterations)
    within = [_transport(block, epsilon, iterations) for block in (costs[:count, :count], costs[count:, count:])]
    return between - 0.5 * (within[0] + within[1])


def _transport(costs: Tensor, epsilon: Tensor, iterations: int) -> Tensor:
    """The dual value of entropic transport between uniform weights, by Sinkhorn's iterations on logarithms."""
    rows, columns = costs.shape
    left, right = costs.new_zeros(rows), costs.new_zeros(columns)
    for _ in range(iterations):
        to_left = -epsilon * (((right - costs) / epsilon).logsumexp(dim=1) - math.log(columns))
        to_right = -epsilon * (((left.unsqueeze(1) - costs) / epsilon).logsumexp(dim=0) - math.log(rows))
        left, right = 0.5 * (left + to_left), 0.5 * (right + to_right)
    return left.mean() + right.mean()


def _squared_distances(rows: Tensor) -> Tensor:
    # Matrix products would leave rounding errors between equal rows, and autocast would halve their precision.
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()


def _covariance(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(dim=0)
    return centred.T @ centred / max(len(rows) - 1, 1)


def _or_one(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, torch.ones_like(scale))
