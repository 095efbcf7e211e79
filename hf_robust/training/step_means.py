"""Means of named values since the last log entry."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class StepMeans:
    """Adds up values by name, and gives their means, over all ranks, when the Trainer logs.

    Each step counts once; of values that are valid or not each valid one does, so that a step without one changes
    nothing. Ranks must add the same names, since they are reduced together.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, name: str, values: Tensor, valid: Tensor | None = None) -> None:
        """The mean of ``values`` as one step's value; with ``valid`` (1 or 0, the same shape) the valid ones."""
        values = values.detach().float()
        if valid is None:
            # Under DataParallel a scalar of a step has one value for each device.
            total, count = values.mean(), torch.ones((), device=values.device)
        else:
            total, count = (values * valid).sum(), valid.detach().float().sum()
        before = self._sums.get(name)
        self._sums[name] = (total, count) if before is None else (before[0] + total, before[1] + count)

    def now(self, reduce: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """The means so far. ``reduce`` sums over ranks. What had no valid value anywhere is left out."""
        if not self._sums:
            return {}
        sums = reduce(torch.stack([torch.stack(pair) for pair in self._sums.values()]))
        means = zip(self._sums, (sums[:, 0] / sums[:, 1]).tolist(), sums[:, 1].tolist(), strict=True)
        return {name: mean for name, mean, count in means if count > 0}

    def take(self, reduce: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """The means so far, and begin anew."""
        means = self.now(reduce)
        self._sums = {}
        return means
