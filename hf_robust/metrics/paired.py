"""Paired comparison of two models on the same attacked examples: bootstrap intervals and McNemar's exact test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

Outcomes = np.ndarray[Any, Any]
"""(..., examples): 1 if the attack succeeded, 0 if it failed, nan if the example was skipped."""

OUTCOMES = {"succeeded": 1.0, "failed": 0.0, "skipped": np.nan}
DRAWS, POINTS = 2000, 100.0


class Difference(NamedTuple):
    """Difference of a rate, second minus first method, in points, with its interval and its value for each seed."""

    value: float
    low: float
    high: float
    by_seed: list[float]


class Measure(Protocol):
    """A quantity of (..., examples) outcomes, such as a rate: (...,).

    With ``times``, (draws, examples), how often a draw has each example, it is that of each draw: (..., draws).
    """

    def __call__(self, outcomes: Outcomes, times: Outcomes | None = None, /) -> Outcomes: ...


def rates(outcomes: Outcomes, times: Outcomes | None = None) -> Outcomes:
    """(...,) success rate over the attacked examples, or mean of other values; nan if there are none."""
    known = ~np.isnan(outcomes)
    attacked = _sum(known, times)
    empty: Outcomes = np.full(attacked.shape, np.nan)
    shares: Outcomes = np.divide(_sum(np.where(known, outcomes, 0.0), times), attacked, out=empty, where=attacked > 0)
    return shares


def robust(outcomes: Outcomes, times: Outcomes | None = None) -> Outcomes:
    """(...,) robust accuracy: share of all examples that are correct and withstood the attack."""
    shares: Outcomes = _sum(outcomes == 0.0, times) / outcomes.shape[-1]
    return shares


def _sum(values: Outcomes, times: Outcomes | None) -> Outcomes:
    summed: Outcomes = values.sum(axis=-1) if times is None else values @ times.T
    return summed


def paired_difference(base: Outcomes, other: Outcomes, measure: Measure) -> Difference:
    """Difference of a rate over (seeds, examples) with its 95 % bootstrap interval over examples.

    Each drawn example brings its outcomes under every seed of both methods; seeds are averaged. If no outcome differs,
    the interval is a point; it says nothing about other examples.
    """
    by_seed = POINTS * (measure(other) - measure(base))
    times = _draws(base.shape[1])
    means = (measure(other, times) - measure(base, times)).mean(axis=0)
    # A draw without any attacked example has no rate.
    low, high = POINTS * np.nanpercentile(means, [2.5, 97.5])
    return Difference(float(by_seed.mean()), float(low), float(high), by_seed.tolist())


@lru_cache(maxsize=4)
def _draws(examples: int) -> Outcomes:
    """(draws, examples) how often each draw has each example, the same for every comparison of as many examples."""
    drawn = np.random.default_rng(0).integers(0, examples, size=(DRAWS, examples))
    return np.array([np.bincount(rows, minlength=examples) for rows in drawn], dtype=float)


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """McNemar's exact two-sided p for equally likely discordant counts; 1 if both are 0.

    ``min(1, 2 P(X <= min(b, c)))`` for X binomial of ``b + c`` draws with probability 1/2.

    >>> mcnemar_exact(0, 5)
    0.0625
    """
    from scipy.special import bdtr  # scipy.stats, whose binomtest is the same here, loads for a second

    return min(1.0, 2 * float(bdtr(min(first_only, second_only), first_only + second_only, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Holm's step-down correction of p values; it bounds the chance of any false positive for dependent tests too.

    Of m tests the i-th smallest p becomes :math:`\max_{j \le i} \min(1, (m - j + 1) p_{(j)})`; the order is kept.

    >>> [round(p, 3) for p in holm([0.03, 0.01, 0.04])]
    [0.06, 0.03, 0.06]
    """
    corrected, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = worst
    return corrected


def examples_needed(difference: Difference, examples: int) -> int | None:
    """Number of examples at which the interval would exclude 0 if the difference stayed the same.

    A half-width h over N examples is about ``h * sqrt(N / M)`` over M, so M = N (h / difference)^2. None if the
    difference is 0.

    >>> examples_needed(Difference(2.0, -2.0, 6.0, [2.0]), 100)
    400
    """
    if not difference.value:
        return None
    half = (difference.high - difference.low) / 2
    return math.ceil(examples * (half / difference.value) ** 2)
