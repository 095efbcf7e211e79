"""Interpretation consistency: do the same words stay important after some words were swapped?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_robust.interpret.attribution import Attribution, Floats

Numbers = Sequence[float] | Floats


def kendall_tau(first: Numbers, second: Numbers, absolute: bool = False) -> float:
    """Kendall's tau-b between two attributions of n positions; nan for n < 2 or a constant attribution.

    >>> kendall_tau([3, 2, 1], [30, 20, 10]), kendall_tau([3, 2, 1], [1, 2, 3])
    (1.0, -1.0)

    Args:
        absolute: rank by absolute value.

    Raises:
        ValueError: they have different lengths.
    """
    from scipy.stats import kendalltau

    a, b = _both(first, second, absolute)
    if len(a) < 2 or np.all(a == a[0]) or np.all(b == b[0]):
        return float("nan")
    return float(kendalltau(a, b).statistic)


def top_k_intersection(first: Numbers, second: Numbers, k: int, absolute: bool = False) -> float:
    r"""``|top-k(a) n top-k(a')| / k`` over positions; k is at most n. Equal values rank by position.

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


TOP_K = tuple(range(1, 11))
RESAMPLES = 2000
WITHIN = 0.01
"""Completeness error below which integrated gradients count as exact."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % bootstrap interval; nan if it is unknown."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Consistency:
    """Means over pairs of texts.

    Attributes:
        num_pairs: number of pairs in the means.
        num_undefined: number of pairs left out: a single word or constant attributions have no ranking, and if
            truncation cut off every changed word, the model reads the same text twice.
        tau: Kendall's tau-b.
        top_k: top-k intersection for k = 1, 2, ... 10.
        changed_share: mean share of changed words; if it is small, tau is high in any case.
        words: mean number of words.
        complete_share: share of all pairs with a completeness error below 1 % for both texts and every class; nan for
            methods without completeness.
        worst_completeness: largest completeness error.
    """

    num_pairs: int
    num_undefined: int
    tau: Estimate
    top_k: tuple[Estimate, ...]
    changed_share: float
    words: float
    complete_share: float
    worst_completeness: float


def consistency(pairs: Sequence[tuple[Attribution, Attribution]], absolute: bool = False) -> Consistency:
    """Chen and Ji, AAAI 2022 (FLAT): Kendall's tau and top-k intersection of two attributions.

    Both are computed for each class and averaged over the classes, then over the pairs. Words that truncation cut off
    from either text are left out. Tau and top-k are over the same pairs.

    Args:
        pairs: attributions of the text and of the perturbed text, with words at the same positions.
        absolute: rank by absolute value.

    Raises:
        ValueError: the texts of a pair differ in their number of words or classes.
    """
    taus, tops, shares, lengths = [], [], [], []
    for first, second in pairs:
        a, b, differ = _shared(first, second)
        tau = float(np.mean([kendall_tau(*rows, absolute) for rows in zip(a, b, strict=True)]))
        if math.isnan(tau) or (not differ and first.words != second.words):
            continue
        taus.append(tau)
        per_class = [[top_k_intersection(*rows, k, absolute) for k in TOP_K] for rows in zip(a, b, strict=True)]
        tops.append(np.mean(per_class, axis=0))
        shares.append(differ / a.shape[1])
        lengths.append(a.shape[1])
    errors = [max(one.completeness_error for one in pair) for pair in pairs]
    return Consistency(
        num_pairs=len(taus),
        num_undefined=len(pairs) - len(taus),
        tau=mean_with_interval(taus),
        top_k=tuple(mean_with_interval([float(row[place]) for row in tops]) for place in range(len(TOP_K))),
        changed_share=_mean(shares),
        words=_mean(lengths),
        complete_share=_mean([math.nan if math.isnan(error) else float(error < WITHIN) for error in errors]),
        worst_completeness=max(errors, default=math.nan),
    )


def mean_with_interval(values: Sequence[float]) -> Estimate:
    """The mean with the 95 % interval of 2,000 bootstrap samples, which stays within the range of the values.

    The draws are the same at every call. For one value the interval is nan, without values the mean too.

    >>> mean_with_interval([1.0, 1.0])
    Estimate(mean=1.0, low=1.0, high=1.0)
    """
    mean = _mean(values)
    if len(values) < 2:
        return Estimate(mean, math.nan, math.nan)
    drawn = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.asarray(values)[drawn].mean(axis=1), [0.025, 0.975])
    return Estimate(mean, float(low), float(high))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _shared(first: Attribution, second: Attribution) -> tuple[Floats, Floats, int]:
    """Both attributions [K, n] of the words covered in both texts, and the number of these words that differ."""
    if first.values.shape != second.values.shape:
        raise ValueError(
            f"the texts of a pair need the same words and classes, got {first.values.shape} and "
            f"{second.values.shape} (classes, words); leave out pairs with inserted or deleted words."
        )
    both = first.covered & second.covered
    differ = [a != b for a, b, kept in zip(first.words, second.words, both, strict=True) if kept]
    return first.values[:, both], second.values[:, both], sum(differ)
