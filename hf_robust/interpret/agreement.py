"""How much two rankings of the same positions agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from hf_robust.interpret.attribution import Floats

Numbers = Sequence[float] | Floats


def kendall_tau(first: Numbers, second: Numbers, absolute: bool = False) -> float:
    """Kendall's tau-b between two attributions of n positions; nan for n < 2 or where all of one are equal.

    >>> kendall_tau([3, 2, 1], [30, 20, 10]), kendall_tau([3, 2, 1], [1, 2, 3])
    (1.0, -1.0)

    Args:
        absolute: rank by size, not by sign.

    Raises:
        ValueError: they have different lengths.
    """
    a, b = _both(first, second, absolute)
    if len(a) < 2 or np.all(a == a[0]) or np.all(b == b[0]):
        return float("nan")
    return float(kendalltau(a, b).statistic)


def top_k_intersection(first: Numbers, second: Numbers, k: int, absolute: bool = False) -> float:
    r"""``|top-k(a) n top-k(a')| / k`` over positions; k is n where n is smaller. Equal values rank by position.

    >>> top_k_intersection([3, 2, 1, 0], [2, 0, 3, 1], k=2)
    0.5

    Raises:
        ValueError: k is below 1, there is no position, or the lengths differ.
    """
    a, b = _both(first, second, absolute)
    if k < 1 or not len(a):
        raise ValueError(f"top-k needs k of at least 1 and at least one word, got k {k} and {len(a)} words.")
    k = min(k, len(a))
    top, other = (set(np.argsort(-values, kind="stable")[:k].tolist()) for values in (a, b))
    return len(top & other) / k


def _both(first: Numbers, second: Numbers, absolute: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"two attributions must be of the same words, got shapes {a.shape} and {b.shape}.")
    return (np.abs(a), np.abs(b)) if absolute else (a, b)
