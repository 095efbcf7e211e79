"""How a check of a claim is made, and that each measurement counts once.

A check is a row: a difference with its interval, the limits that the claim puts on it (``above``, ``below``), the
variances of its paired differences, the settings that it compares (``runs``, the control first), the control in words
(``control``), a verdict and its reason. `benchmarks.study.voids` says when a check is void, `benchmarks.study.decide`
what all checks of a claim come to.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.controls import with_control
from benchmarks.study.experiment import Comparison, Experiment, TextExperiment
from benchmarks.study.measures import ATTACK
from benchmarks.study.paired import (
    ACCURACY,
    COLLAPSE,
    FAILS,
    HOLDS,
    OPEN,
    VOID,
    accuracy_of,
    check_row,
    runs_by_seed,
)
from benchmarks.study.voids import REPEATED, by_rules, is_void
from hf_robust.runs import read_statuses

Row = dict[str, Any]
NORMAL = "normal"
CLEAN_LOSS = 1.5
"""Points of clean accuracy that count as kept."""


def judged(experiment: Experiment, row: Row, runs: Sequence[str], control: str | None = None, void: str = "") -> Row:
    """The row with its control; void if one of ``runs`` is near chance, for the reason ``void``, or by `RULES`.

    Args:
        runs: the settings that the row compares or depends on, the control first.
        control: the control in words; default: the first of ``runs``.
        void: the verdict of a row that is void although its models have learnt.
    """
    checked = {**row, "runs": list(runs), "control": control or runs[0]}
    guesses = experiment.guesses if row["quantity"] == ACCURACY else experiment.near_chance
    guessing = [name for name in runs if guesses(name)]
    if guessing:
        why = f"{', '.join(guessing)} near or below chance (accuracy below {100 * experiment.least_accuracy:.0f} %)"
        return {**checked, "verdict": VOID, "why": why, "beside": None}
    return with_control(experiment.folder, by_rules(experiment.folder, {**checked, "verdict": void or row["verdict"]}))


def counted_once(folder: Path, rows: Sequence[Row]) -> list[Row]:
    """The rows of one experiment; a row with the same outcomes as an earlier row of its claim becomes void.

    Two attacks with the same successes, or two methods whose models give the same answers, are one measurement.
    """
    checked: list[Row] = []
    for row in rows:
        earlier = [] if is_void(row["verdict"]) else checked
        same = next((other for other in earlier if repeats(folder, row, other)), None)
        checked.append(
            row if same is None else {**row, "verdict": REPEATED, "why": f"the outcomes of: {same['text']}"}
        )
    return checked


def repeats(folder: Path, row: Row, earlier: Row) -> bool:
    """Whether both rows are of one claim and have the same numbers, from the same outcomes of their runs."""
    keys = ("claim", "value", "low", "high", "by_seed")
    if is_void(earlier["verdict"]) or any(row[key] != earlier[key] for key in keys):
        return False
    sides = [
        [outcomes_by_seed(folder, setting, check["quantity"]) for setting in check["runs"]] for check in (row, earlier)
    ]
    return sides[0] == sides[1] and None not in sides[0]


def outcomes_by_seed(folder: Path, setting: str, quantity: str) -> list[Any] | None:
    """Outcomes of a setting's runs by seed: those under an attack, or clean accuracy with all outcomes.

    None for any other quantity, where equal numbers do not prove equal measurements.
    """
    runs = runs_by_seed(folder, setting)
    if quantity in (ACCURACY, COLLAPSE):
        return [(seed, accuracy_of(run), read_statuses(run)) for seed, run in runs.items()]
    outcomes = [(seed, read_statuses(run).get(quantity)) for seed, run in runs.items()]
    return outcomes if all(statuses for _, statuses in outcomes) else None


def claim(
    experiment: TextExperiment,
    number: str,
    text: str,
    comparison: Comparison | None,
    models: tuple[str, ...],
    **more: Any,
) -> list[Row]:
    """The check of a comparison, or no row if there is nothing to compare.

    Args:
        number: of the claim.
        models: the settings that are compared, the control first.
        more: ``above`` and ``below``, the side on which the claim holds; ``control`` and ``void`` as in `judged`; all
            others become fields of the row.
    """
    if comparison is None:
        return []
    limits = {key: more.pop(key) for key in ("above", "below") if key in more}
    options = {key: more.pop(key) for key in ("control", "void") if key in more}
    row = check_row(number, text, comparison.difference, comparison.variance, **limits)
    row |= {
        "unit": comparison.unit,
        "examples": comparison.examples,
        "seeds": list(comparison.seeds),
        "paper": None,
        **more,
    }
    row["why"] = reason(comparison, row["verdict"], limits)
    return [judged(experiment, row, models, **options)]


def reason(comparison: Comparison, decided: str, limits: dict[str, float]) -> str:
    """The verdict's reason: where the interval lies, its width, and the spread of the seeds."""
    limits_in_words = " and ".join(f"{key} {limit:g}" for key, limit in limits.items())
    position = {
        HOLDS: f"the whole interval is {limits_in_words}",
        FAILS: f"no part of the interval is {limits_in_words}",
        OPEN: f"the interval (half width {comparison.width:.2g}) is not wholly {limits_in_words}",
    }[decided]
    values = comparison.difference.by_seed
    seeds = f"{len(values)} seeds, sd {statistics.stdev(values):.2g}" if len(values) > 1 else "one seed"
    return f"{position}; {seeds}"


def trained_on(attack: str) -> str:
    """Mark of the attack whose texts the methods train on."""
    return " (trained on)" if attack == ATTACK else ""
