"""The Pareto front of points in several quantities."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pareto_front(points: Sequence[Sequence[float]], maximize: Sequence[bool]) -> list[int]:
    """Indices of the points that no other point dominates, from the worst to the best first quantity.

    A point dominates another if it is at least as good in every quantity and better in one. Equal points are on the
    front together. Points with a nan are never on it.

    Args:
        points: the quantities of each point.
        maximize: for each quantity, whether more is better.

    >>> pareto_front([(0.9, 0.5), (0.8, 0.2), (0.7, 0.4)], maximize=(True, False))
    [1, 0]

    Raises:
        ValueError: a point has another number of quantities than ``maximize``.
    """
    for point in points:
        if len(point) != len(maximize):
            raise ValueError(f"a point needs {len(maximize)} quantities, as many as directions, got {len(point)}.")
    known = [index for index, point in enumerate(points) if all(map(math.isfinite, point))]
    signed = {
        index: tuple(value if more else -value for value, more in zip(points[index], maximize, strict=True))
        for index in known
    }
    front = [one for one in known if not any(_dominates(signed[other], signed[one]) for other in known)]
    return sorted(front, key=signed.__getitem__)


def _dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    return first != second and all(one >= other for one, other in zip(first, second, strict=True))
