"""Paired comparison of two attacks, or of two models, on the same examples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hf_robust.metrics import Transition
from hf_robust.metrics.paired import Difference, Measure, Outcomes, paired_difference, rates, robust
from hf_robust.reports.sanity.evidence import Key, MeasuredAttack

SIGNIFICANT = 0.05


class Compared(NamedTuple):
    """Difference of a rate, second minus first in points, over the examples that both have.

    ``p`` is McNemar's exact two-sided p: for success rates over the examples that both attacked, for robust accuracy
    over all. If few examples differ, the bootstrap interval is too narrow; the exact test is not.
    """

    first: float
    second: float
    difference: Difference
    examples: int
    p: float

    @property
    def is_fall(self) -> bool:
        """Whether the second rate is significantly below the first."""
        return self.difference.high < 0 and self.p < SIGNIFICANT

    @property
    def is_rise(self) -> bool:
        """Whether the second rate is significantly above the first."""
        return self.difference.low > 0 and self.p < SIGNIFICANT

    def in_words(self) -> str:
        """The difference as text: ``difference -8.0 points [-11.0, -5.0], N = 300``."""
        value, low, high, _ = self.difference
        return f"difference {value:+.1f} points [{low:+.1f}, {high:+.1f}], N = {self.examples:,}"

    def numbers(self) -> dict[str, float]:
        """All numbers by name, for programs."""
        value, low, high, _ = self.difference
        return {
            "first": self.first,
            "second": self.second,
            "difference": value,
            "low": low,
            "high": high,
            "p": self.p,
            "num_examples": self.examples,
        }


def compare(
    first: MeasuredAttack,
    second: MeasuredAttack,
    measure: Measure = rates,
    budget: int | None = None,
) -> Compared | None:
    """Compare two measured attacks; None if they share no example or have neither records nor statuses.

    Args:
        budget: count only successes within this number of queries; needs records.
    """
    if budget is not None:
        return compare_outcomes(within(first, budget), within(second, budget), measure)
    if first.records and second.records:
        return compare_outcomes(first.outcomes, second.outcomes, measure)
    rows = [{key[0]: outcome for key, outcome in one.outcomes.items()} for one in (first, second)]
    return compare_outcomes(rows[0], rows[1], measure)


def within(measured: MeasuredAttack, budget: int) -> dict[Key, float]:
    """Outcomes of the attack if each search had ended after ``budget`` queries."""
    queries = {(one.idx, tuple(one.original), one.label): one.queries for one in measured.records}
    return {
        key: 0.0 if outcome == 1.0 and queries.get(key, 0) > budget else outcome
        for key, outcome in measured.outcomes.items()
    }


def compare_outcomes(
    first: Mapping[Key, float] | Mapping[int, float],
    second: Mapping[Key, float] | Mapping[int, float],
    measure: Measure = rates,
) -> Compared | None:
    """Compare two attacks by the outcomes of their examples."""
    keys = [key for key in first if key in second]
    base, other = (np.array([[side[key] for key in keys]]) for side in (first, second))  # type: ignore[index]
    values = [float(measure(side)[0]) if keys else math.nan for side in (base, other)]
    if not all(map(math.isfinite, values)):
        return None
    transition = Transition.of(*_counted(base[0], other[0], measure))
    return Compared(values[0], values[1], paired_difference(base, other, measure), len(keys), transition.mcnemar_p)


def _counted(base: Outcomes, other: Outcomes, measure: Measure) -> tuple[list[bool], list[bool]]:
    """Binary outcomes of each side for McNemar's test of the compared rate."""
    if measure is robust:
        return (base == 0.0).tolist(), (other == 0.0).tolist()
    both = ~np.isnan(base) & ~np.isnan(other)
    return (base[both] == 1.0).tolist(), (other[both] == 1.0).tolist()
