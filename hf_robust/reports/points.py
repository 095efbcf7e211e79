"""Rates as points of a picture: a value with the two ends of its bar."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hf_robust.reports.cells import accuracy_interval, attack_interval, clean_accuracy_of
from hf_robust.runs import Run


class Rate(NamedTuple):
    """A value in [0, 1] with the ends of its bar; both ends equal the value if no interval is known."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        return math.isfinite(self.value)


UNKNOWN = Rate(math.nan, math.nan, math.nan)


def accuracy_rate(run: Run) -> Rate:
    """Clean accuracy of the published weights."""
    value = float(run.published["accuracy"])
    return Rate(value, *(accuracy_interval(run) or (value, value)))


def clean_rate(run: Run, attack: str) -> Rate:
    """Clean accuracy on the examples of an attack; on all rows if the history does not have it."""
    value, interval = clean_accuracy_of(run, attack)
    return Rate(value, *(interval or (value, value))) if math.isfinite(value) else accuracy_rate(run)


def attack_rate(run: Run, attack: str, key: str = "asr") -> Rate:
    """A rate of an attack on the published weights; nan if it was not measured."""
    return rate_of(run.published["attacks"].get(attack, {}), key)


def rate_of(result: Mapping[str, Any], key: str) -> Rate:
    """A rate from the numbers of an attack, with its interval."""
    value = float(result.get(key, math.nan))
    return Rate(value, *(attack_interval(dict(result), key) or (value, value)))


def over_runs(rates: Iterable[Rate]) -> Rate:
    """The rate of a single run with its interval, or the mean of several ± one sample standard deviation."""
    known = [rate for rate in rates if rate.known]
    if len(known) < 2:
        return known[0] if known else UNKNOWN
    values = [rate.value for rate in known]
    mean, spread = statistics.mean(values), statistics.stdev(values)
    return Rate(mean, mean - spread, mean + spread)
