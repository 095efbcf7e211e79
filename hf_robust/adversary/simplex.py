"""Weights that are not negative and sum to one."""

from __future__ import annotations

import torch
from torch import Tensor


def project_simplex(values: Tensor) -> Tensor:
    """The nearest point of the simplex to ``values`` (k,), in Euclidean distance (Duchi et al. 2008, Figure 1).

    >>> import torch
    >>> project_simplex(torch.tensor([2.0, 0.0])).tolist()
    [1.0, 0.0]
    """
    # The projection does not see a shift of all values; without this one the 1.0 below is lost beside large ones.
    values = values - values.max()
    descending = values.sort(descending=True).values
    counts = torch.arange(1, len(values) + 1, device=values.device)
    thresholds = (descending.cumsum(0) - 1.0) / counts
    last = int((descending > thresholds).sum()) - 1
    return (values - thresholds[last]).clamp(min=0.0)
