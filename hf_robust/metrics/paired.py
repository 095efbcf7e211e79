"""Two models attacked on the same examples: bootstrap intervals of differences, and McNemar's exact test."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

Outcomes = np.ndarray[Any, Any]
"""(..., examples): 1 where the attack succeeded, 0 where it failed, nan where it was not tried (skipped)."""

OUTCOMES = {"succeeded": 1.0, "failed": 0.0, "skipped": np.nan}
DRAWS, POINTS = 2000, 100.0


class Difference(NamedTuple):
    """Second minus first method, in points."""

    value: float
    low: float
    high: float
    by_seed: list[float]


def rates(seen: Outcomes) -> Outcomes:
    """(...,) success rate among the examples that were attacked; nan where there are none."""
    attacked = (~np.isnan(seen)).sum(axis=-1)
    empty: Outcomes = np.full(seen.shape[:-1], np.nan)
    shares: Outcomes = np.divide(np.nansum(seen, axis=-1), attacked, out=empty, where=attacked > 0)
    return shares


def robust(seen: Outcomes) -> Outcomes:
    """(...,) robust accuracy: the share of all examples that were right and withstood the attack."""
    shares: Outcomes = (seen == 0.0).mean(axis=-1)
    return shares


def paired_difference(base: Outcomes, other: Outcomes, measure: Callable[[Outcomes], Outcomes]) -> Difference:
    """Difference of a rate over (seeds, examples) with its 95 % bootstrap interval over examples.

    An example is drawn with its outcomes under every seed of both methods; seeds are averaged. Where the outcomes do
    not differ the interval is a point: it says nothing about examples that are not among these.
    """
    by_seed = POINTS * (measure(other) - measure(base))
    draws = _draws(base.shape[1])
    means = (measure(other[:, draws]) - measure(base[:, draws])).mean(axis=0)
    # A draw in which a method attacked nothing has no rate.
    low, high = POINTS * np.nanpercentile(means, [2.5, 97.5])
    return Difference(float(by_seed.mean()), float(low), float(high), by_seed.tolist())


@lru_cache(maxsize=4)
def _draws(examples: int) -> Outcomes:
    """(draws, examples) row numbers, the same for every comparison of so many examples."""
    drawn: Outcomes = np.random.default_rng(0).integers(0, examples, size=(DRAWS, examples))
    return drawn


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """McNemar's exact two-sided p: that both discordant counts are equally likely; 1 where both are 0.

    ``min(1, 2 P(X <= min(b, c)))`` for X binomial of ``b + c`` draws with probability 1/2.

    >>> mcnemar_exact(0, 5)
    0.0625
    """
    from scipy.stats import binomtest

    changed = first_only + second_only
    return float(binomtest(first_only, changed, 0.5).pvalue) if changed else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Holm's step-down correction: the chance of any false finding stays below the level, however the tests depend.

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
    """How many examples would make the interval exclude 0, if the difference stayed as it is.

    A half-width h over N examples is about ``h * sqrt(N / M)`` over M, so that M = N (h / difference)^2. None where
    the difference is 0: no number of examples shows one.

    >>> examples_needed(Difference(2.0, -2.0, 6.0, [2.0]), 100)
    400
    """
    if not difference.value:
        return None
    half = (difference.high - difference.low) / 2
    return math.ceil(examples * (half / difference.value) ** 2)
