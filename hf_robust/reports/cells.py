"""Texts of table cells: rates in percent with their intervals, of one run or over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hf_robust.metrics import wilson_interval
from hf_robust.reports.aims import (
    described_in,
    has_clean_texts,
    is_obstinate,
    robust_accuracy_applies,
    success_of,
    success_rate_applies,
)
from hf_robust.runs import Run

NOTHING = "–"
FEW = 100
"""Rates over fewer examples have no decimals: one example is more than a point."""
OBSTINACY = {"raises_asr": "raises, %", "remains_asr": "remains, %", "median_rise": "median rise, points"}
"""Numbers of obstinate attacks: share of attacked examples whose changed text gets a higher confidence, share with a
changed text that keeps the prediction, and median increase of the label's probability over the successes."""


def percent(rate: float, interval: tuple[float, float] | None = None, count: float | None = None) -> str:
    """``0.41`` as ``41.0``, with ``[36.7, 45.4]`` if the interval is known; a dash for nan.

    Args:
        count: number of examples; below FEW the text has no decimals.
    """
    digits = 0 if count is not None and count < FEW else 1
    if not math.isfinite(rate):
        return NOTHING
    if interval is None or not all(map(math.isfinite, interval)):
        return f"{100 * rate:.{digits}f}"
    return f"{100 * rate:.{digits}f} [{100 * interval[0]:.{digits}f}, {100 * interval[1]:.{digits}f}]"


def points(difference: float) -> str:
    """A difference of probabilities in points, with its sign; small differences keep one significant digit.

    >>> points(0.0312), points(-0.2), points(0.00002)
    ('+3.1', '-20.0', '+0.002')
    """
    if not math.isfinite(difference):
        return NOTHING
    return f"{100 * difference:+.1f}" if abs(difference) >= 0.0005 or not difference else f"{100 * difference:+.1g}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown table; bars in cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def union_label(union: Mapping[str, Any]) -> str:
    """Name of the union of several attacks in tables."""
    return f"worst of {', '.join(union['attacks'])}"


def union_interval(union: Mapping[str, Any]) -> tuple[float, float] | None:
    """Interval of the robust accuracy of a union; None if the history line has none."""
    return attack_interval(dict(union), "robust_accuracy")


def accuracy_interval(run: Run) -> tuple[float, float] | None:
    """Wilson interval of the clean accuracy; None if the number of rows is unknown."""
    accuracy, samples = float(run.published["accuracy"]), run.eval_samples
    if samples is None or not math.isfinite(accuracy):
        return None
    return wilson_interval(round(accuracy * samples), samples)


def attack_interval(result: dict[str, Any], key: str) -> tuple[float, float] | None:
    """Interval of a rate from the history; computed for robust accuracy (F/N) if the history has none."""
    low, high = result.get(f"{key}_low"), result.get(f"{key}_high")
    if low is not None and high is not None:
        return (float(low), float(high))
    count, rate = result.get("num_examples", 0), result.get(key, math.nan)
    if key != "robust_accuracy" or not count or not math.isfinite(rate):
        return None
    return wilson_interval(round(rate * count), int(count))


def clean_accuracy_of(run: Run, attack: str) -> tuple[float, tuple[float, float] | None]:
    """Clean accuracy on the examples of an attack, with its interval; nan if they have no clean texts."""
    result = run.published["attacks"].get(attack, {})
    value, count = float(result.get("accuracy", math.nan)), result.get("num_examples", math.nan)
    if not (has_clean_texts(described_in(run, attack)) and math.isfinite(value)):
        return math.nan, None
    return value, wilson_interval(round(value * count), int(count)) if math.isfinite(count) else None


def obstinacy_of(run: Run, attack: str) -> dict[str, float]:
    """The numbers of an obstinate attack beside its success rate; empty for other attacks.

    Older histories have no ``raises_asr``; it equals the success rate if the success rule is ``raises``.
    """
    result = run.published["attacks"].get(attack)
    if result is None or not is_obstinate(run, attack):
        return {}
    raised = result.get("asr", math.nan) if success_of(run, attack) == "raises" else math.nan
    numbers = {"raises_asr": raised, **result}
    return {key: float(numbers.get(key, math.nan)) for key in OBSTINACY}


def over_seeds(
    group: Sequence[Run],
    value: Callable[[Run], float],
    interval: Callable[[Run], tuple[float, float] | None],
    count: Callable[[Run], float | None] = lambda run: None,
) -> str:
    """A rate in percent: with its interval for a single run, as mean ± standard deviation for several seeds."""
    values = [value(run) for run in group]
    if len(group) == 1:
        return percent(values[0], interval(group[0]), count(group[0]))
    known = [number for number in values if math.isfinite(number)]
    if len(known) < 2:
        return percent(known[0]) + f" (1 of {len(group)} seeds)" if known else NOTHING
    text = f"{100 * statistics.mean(known):.1f} ± {100 * statistics.stdev(known):.1f}"
    return text if len(known) == len(group) else f"{text} ({len(known)} of {len(group)} seeds)"


def accuracy_over_seeds(group: Sequence[Run]) -> str:
    """Clean accuracy on all evaluation rows."""
    return over_seeds(
        group, lambda run: float(run.published["accuracy"]), accuracy_interval, lambda run: run.eval_samples
    )


_APPLIES: dict[str, Callable[[Run, str], bool]] = {
    "robust_accuracy": robust_accuracy_applies,
    "asr": success_rate_applies,
    "raises_asr": is_obstinate,
    "remains_asr": is_obstinate,
}


def attack_over_seeds(group: Sequence[Run], attack: str, key: str) -> str:
    """A rate of an attack over the seeds of a group; a dash if it is not meaningful (`hf_robust.reports.aims`)."""

    def result(run: Run) -> dict[str, Any]:
        return {**run.published["attacks"].get(attack, {}), **obstinacy_of(run, attack)}

    if not all(_APPLIES[key](run, attack) for run in group):
        return NOTHING
    return over_seeds(
        group,
        lambda run: float(result(run).get(key, math.nan)),
        lambda run: attack_interval(result(run), key),
        lambda run: result(run).get("num_examples" if key == "robust_accuracy" else "num_attacked"),
    )


def rise_over_seeds(group: Sequence[Run], attack: str) -> str:
    """Median increase of the probability over the successes of an obstinate attack, mean over seeds, in points."""
    return points(mean_of([obstinacy_of(run, attack) for run in group], "median_rise"))


def union_over_seeds(group: Sequence[Run], label: str) -> str:
    """Robust accuracy under one union of attacks over the seeds of a group."""

    def union(run: Run) -> dict[str, Any]:
        line = run.published.get("union")
        return line if line and union_label(line) == label else {}

    return over_seeds(
        group,
        lambda run: float(union(run).get("robust_accuracy", math.nan)),
        lambda run: union_interval(union(run)),
        lambda run: union(run).get("num_examples"),
    )


def mean_of(results: Sequence[Mapping[str, Any]], key: str) -> float:
    """Mean of a number over the results that have it; nan if none has."""
    known = [float(result[key]) for result in results if math.isfinite(result.get(key, math.nan))]
    return statistics.mean(known) if known else math.nan
