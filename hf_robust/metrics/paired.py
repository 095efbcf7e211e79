"""Differences of rates on the same examples, their bootstrap intervals, and what they need to say anything.

Importing it is cheap as well; it is not among the names of ``hf_robust.metrics`` because it needs numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Outcomes = np.ndarray[Any, Any]
"""(..., examples): 1 where the attack succeeded, 0 where it failed, nan where the text was wrong before (skipped)."""

OUTCOMES = {"succeeded": 1.0, "failed": 0.0, "skipped": math.nan}
"""The outcome that each status of a record stands for."""

LETTERS = {"succeeded": "s", "failed": "f", "skipped": "-"}
"""The letter of each status where only statuses are kept (``statuses.json``)."""

DRAWS, POINTS = 2000, 100.0
LEAST_LEARNT = 0.2
"""Share of the way from guessing the larger class to no error below which a model has learnt next to nothing."""


class Difference(NamedTuple):
    """Second minus first side, in points, with its 95 % interval."""

    value: float
    low: float
    high: float
    by_seed: list[float]


def rates(seen: Outcomes) -> Outcomes:
    """(...,) success rate among the examples that were attacked; nan where there are none."""
    attacked = (~np.isnan(seen)).sum(axis=-1)
    none = np.full(seen.shape[:-1], np.nan)
    found: Outcomes = np.divide(np.nansum(seen, axis=-1), attacked, out=none, where=attacked > 0)
    return found


def robust(seen: Outcomes) -> Outcomes:
    """(...,) robust accuracy: the share of all examples that were right and withstood the attack."""
    shares: Outcomes = (seen == 0.0).mean(axis=-1)
    return shares


def paired_difference(base: Outcomes, other: Outcomes, measure: Callable[[Outcomes], Outcomes]) -> Difference:
    """Difference of a rate over (seeds, examples) with its bootstrap interval over examples.

    An example is drawn with its outcomes on both sides and under every seed; seeds are averaged.
    """
    by_seed = POINTS * (measure(other) - measure(base))
    draws = np.random.default_rng(0).integers(0, base.shape[1], size=(DRAWS, base.shape[1]))
    means = (measure(other[:, draws]) - measure(base[:, draws])).mean(axis=0)
    # A draw in which a method attacked nothing has no rate.
    low, high = POINTS * np.nanpercentile(means, [2.5, 97.5])
    return Difference(float(by_seed.mean()), float(low), float(high), by_seed.tolist())


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


def least_accuracy(larger_class: float) -> float:
    """Accuracy below which a model's other rates say nothing: ten points above guessing where the classes are even."""
    return larger_class + LEAST_LEARNT * (1 - larger_class)
