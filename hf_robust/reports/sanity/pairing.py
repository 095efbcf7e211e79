"""Two attacks, or two models, on the same examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from hf_robust.metrics import Transition
from hf_robust.metrics.paired import Difference, Outcomes, paired_difference, rates, robust
from hf_robust.reports.sanity.evidence import Key, MeasuredAttack

SIGNIFICANT = 0.05


class Compared(NamedTuple):
    """Second minus first, in points of a rate, over the examples that both were given.

    ``p`` is McNemar's exact two-sided one: of success rates among the examples that both attacked, of robust accuracy
    among all. A bootstrap interval of a handful of examples that differ is too narrow, and the exact test is not.
    """

    first: float
    second: float
    difference: Difference
    examples: int
    p: float

    @property
    def is_fall(self) -> bool:
        """Whether the second is below the first by more than chance."""
        return self.difference.high < 0 and self.p < SIGNIFICANT

    @property
    def is_rise(self) -> bool:
        """Whether the second is above the first by more than chance."""
        return self.difference.low > 0 and self.p < SIGNIFICANT

    def in_words(self) -> str:
        """``difference -8.0 points [-11.0, -5.0], N = 300``."""
        value, low, high, _ = self.difference
        return f"difference {value:+.1f} points [{low:+.1f}, {high:+.1f}], N = {self.examples:,}"

    def numbers(self) -> dict[str, float]:
        """For programs."""
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
    measure: Callable[[Outcomes], Outcomes] = rates,
    budget: int | None = None,
) -> Compared | None:
    """Compare what two measurements found; None where they share no example, or only their rates were kept.

    Args:
        budget: count the successes within so many queries alone; needs records.
    """
    if budget is not None:
        return compare_outcomes(within(first, budget), within(second, budget), measure)
    if first.records and second.records:
        return compare_outcomes(first.outcomes, second.outcomes, measure)
    rows = [{key[0]: outcome for key, outcome in one.outcomes.items()} for one in (first, second)]
    return compare_outcomes(rows[0], rows[1], measure)


def within(measured: MeasuredAttack, budget: int) -> dict[Key, float]:
    """The outcomes where the search ends after so many queries."""
    spent = {(one.idx, tuple(one.original), one.label): one.queries for one in measured.records}
    return {
        key: 0.0 if outcome == 1.0 and spent.get(key, 0) > budget else outcome
        for key, outcome in measured.outcomes.items()
    }


def compare_outcomes(
    first: Mapping[Key, float] | Mapping[int, float],
    second: Mapping[Key, float] | Mapping[int, float],
    measure: Callable[[Outcomes], Outcomes] = rates,
) -> Compared | None:
    """The same from outcomes by example."""
    keys = [key for key in first if key in second]
    base, other = (np.array([[side[key] for key in keys]]) for side in (first, second))  # type: ignore[index]
    found = [float(measure(side)[0]) if keys else math.nan for side in (base, other)]
    if not all(map(math.isfinite, found)):
        return None
    changed = Transition.of(*_counted(base[0], other[0], measure))
    return Compared(found[0], found[1], paired_difference(base, other, measure), len(keys), changed.mcnemar_p)


def _counted(
    base: Outcomes, other: Outcomes, measure: Callable[[Outcomes], Outcomes]
) -> tuple[list[bool], list[bool]]:
    """What McNemar's test counts of each side, for the rate that is compared."""
    if measure is robust:
        return (base == 0.0).tolist(), (other == 0.0).tolist()
    both = ~np.isnan(base) & ~np.isnan(other)
    return (base[both] == 1.0).tolist(), (other[both] == 1.0).tolist()
