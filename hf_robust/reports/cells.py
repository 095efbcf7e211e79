"""Cells of tables: rates in percent with their intervals, of one run or over seeds."""

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
"""Below so many examples a rate has no decimals: one example is more than a point."""
OBSTINACY = {"raises_asr": "raises, %", "remains_asr": "remains, %", "median_rise": "median rise, points"}
"""Shares of the attacked whose changed text is predicted more surely, or keeps the prediction at all, and by how much
the successes raise the label's probability."""


def percent(rate: float, interval: tuple[float, float] | None = None, count: float | None = None) -> str:
    """``0.41`` as ``41.0``, with ``[36.7, 45.4]`` where an interval is known; a dash where there is no rate.

    Args:
        count: how many examples it is a share of: where one of them is more than a point, points have no decimals.
    """
    digits = 0 if count is not None and count < FEW else 1
    if not math.isfinite(rate):
        return NOTHING
    if interval is None or not all(map(math.isfinite, interval)):
        return f"{100 * rate:.{digits}f}"
    return f"{100 * rate:.{digits}f} [{100 * interval[0]:.{digits}f}, {100 * interval[1]:.{digits}f}]"


def points(difference: float) -> str:
    """A difference of probabilities in points, with its sign; small ones as they are, since +0.0 would say nothing.

    >>> points(0.0312), points(-0.2), points(0.00002)
    ('+3.1', '-20.0', '+0.002')
    """
    if not math.isfinite(difference):
        return NOTHING
    return f"{100 * difference:+.1f}" if abs(difference) >= 0.0005 or not difference else f"{100 * difference:+.1g}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def union_label(union: Mapping[str, Any]) -> str:
    """How tables call the union of several attacks."""
    return f"worst of {', '.join(union['attacks'])}"


def union_interval(union: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval of a union's robust accuracy; None where the line has none."""
    return attack_interval(dict(union), "robust_accuracy")


def accuracy_interval(run: Run) -> tuple[float, float] | None:
    """Wilson interval of the clean accuracy; None where the number of rows is not known."""
    accuracy, samples = float(run.published["accuracy"]), run.eval_samples
    if samples is None or not math.isfinite(accuracy):
        return None
    return wilson_interval(round(accuracy * samples), samples)


def attack_interval(result: dict[str, Any], key: str) -> tuple[float, float] | None:
    """The interval noted with the rate; for robust accuracy, which is F/N, computed where the file has none."""
    low, high = result.get(f"{key}_low"), result.get(f"{key}_high")
    if low is not None and high is not None:
        return (float(low), float(high))
    count, rate = result.get("num_examples", 0), result.get(key, math.nan)
    if key != "robust_accuracy" or not count or not math.isfinite(rate):
        return None
    return wilson_interval(round(rate * count), int(count))


def clean_accuracy_of(run: Run, attack: str) -> tuple[float, tuple[float, float] | None]:
    """Clean accuracy on the examples that an attack was given, and its interval; nan where there is no clean text."""
    result = run.published["attacks"].get(attack, {})
    value, count = float(result.get("accuracy", math.nan)), result.get("num_examples", math.nan)
    if not (has_clean_texts(described_in(run, attack)) and math.isfinite(value)):
        return math.nan, None
    return value, wilson_interval(round(value * count), int(count)) if math.isfinite(count) else None


def obstinacy_of(run: Run, attack: str) -> dict[str, float]:
    """The numbers beside the success rate of an attack that wants the prediction kept; empty for another.

    ``raises_asr`` of an older history is the rate itself, where the goal is that the confidence rises.
    """
    result = run.published["attacks"].get(attack)
    if result is None or not is_obstinate(run, attack):
        return {}
    raised = result.get("asr", math.nan) if success_of(run, attack) == "raises" else math.nan
    found = {"raises_asr": raised, **result}
    return {key: float(found.get(key, math.nan)) for key in OBSTINACY}


def over_seeds(
    group: Sequence[Run],
    value: Callable[[Run], float],
    interval: Callable[[Run], tuple[float, float] | None],
    count: Callable[[Run], float | None] = lambda run: None,
) -> str:
    """A rate in percent: a single run's with its interval, of several seeds the mean and standard deviation."""
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
    """A rate of an attack over a group's seeds; a dash where it says nothing (`hf_robust.reports.aims`)."""

    def result(run: Run) -> dict[str, Any]:
        found = dict(run.published["attacks"].get(attack, {}))
        return {**found, **obstinacy_of(run, attack)}

    if not all(_APPLIES[key](run, attack) for run in group):
        return NOTHING
    return over_seeds(
        group,
        lambda run: float(result(run).get(key, math.nan)),
        lambda run: attack_interval(result(run), key),
        lambda run: result(run).get("num_examples" if key == "robust_accuracy" else "num_attacked"),
    )


def rise_over_seeds(group: Sequence[Run], attack: str) -> str:
    """The median rise of an obstinate attack's successes, the mean of it over seeds, in points."""
    return points(mean_of([obstinacy_of(run, attack) for run in group], "median_rise"))


def union_over_seeds(group: Sequence[Run], label: str) -> str:
    """Robust accuracy under one union of attacks over a group's seeds."""

    def union(run: Run) -> dict[str, Any]:
        found = run.published.get("union")
        return found if found and union_label(found) == label else {}

    return over_seeds(
        group,
        lambda run: float(union(run).get("robust_accuracy", math.nan)),
        lambda run: union_interval(union(run)),
        lambda run: union(run).get("num_examples"),
    )


def mean_of(results: Sequence[Mapping[str, Any]], key: str) -> float:
    """Mean of a number over those that have it; nan where none does."""
    known = [float(result[key]) for result in results if math.isfinite(result.get(key, math.nan))]
    return statistics.mean(known) if known else math.nan
