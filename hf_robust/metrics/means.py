"""A mean with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np


class Mean(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def mean_interval(values: Sequence[float]) -> Mean:
    r"""The mean of independent values and its normal 95 % interval, :math:`\bar v \pm 1.96\, s / \sqrt n`.

    For differences of two measurements on the same rows this is the paired interval. Without values all are nan; with
    one value the interval is nan.

    >>> [round(one, 3) for one in mean_interval([1.0, 2.0, 3.0])]
    [2.0, 0.868, 3.132]
    """
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return Mean(math.nan, math.nan, math.nan)
    mean = float(array.mean())
    if len(array) == 1:
        return Mean(mean, math.nan, math.nan)
    half = NormalDist().inv_cdf(0.975) * float(array.std(ddof=1)) / math.sqrt(len(array))
    return Mean(mean, mean - half, mean + half)
