"""One rule for every check of a claim: what it was made against, when it says nothing, and that it counts once.

A check is a row: a difference with its interval, the settings whose runs it compares (``runs``, the control first),
the control in words (``control``), and a verdict. It is *void*, and counts for nothing, where a run of it is near
chance, whatever was measured of it: a model that has learnt next to nothing keeps its one answer under any attack, and
what it lost is no cost of a method. It is void too where it measures something else than the claim speaks of, and
where an earlier check of the claim has the same outcomes. Whether training collapses at all is asked of all runs.

How a claim about text views becomes a row: what was measured, its interval, the verdict and its reason.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.study.experiment import Comparison, TextExperiment
from benchmarks.study.measures import ATTACK
from benchmarks.study.paired import ACCURACY, COLLAPSE, VOID, accuracy_of, runs_by_seed, verdict
from hf_robust.runs import read_statuses

Row = dict[str, Any]
REPEATED = "void: counted above"
DROPPED = "void: failed rows dropped"
NO_RIVAL = "void: no rival of the paper"
NO_FROZEN = "void: no frozen control"
NOT_SPLIT = "void: function words not apart"
OTHER_QUANTITY = "void: not what the paper measures"
KNOWN = (VOID, REPEATED, DROPPED, NO_RIVAL, NO_FROZEN, NOT_SPLIT, OTHER_QUANTITY)


class Learnt(Protocol):
    """An experiment that knows which of its settings have learnt their task."""

    @property
    def least_accuracy(self) -> float: ...

    def near_chance(self, method: str) -> bool: ...


def is_void(verdict: str) -> bool:
    return verdict.startswith("void")


def void_reasons(verdicts: Iterable[str]) -> str:
    """How many checks are void, and why: ``6 void (4 near chance, 2 counted above)``; empty without any."""
    counts = Counter(verdict.partition(": ")[2] for verdict in verdicts if is_void(verdict))
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return f"{counts.total()} void ({reasons})" if counts else ""


def judged(experiment: Learnt, row: Row, runs: Sequence[str], control: str | None = None, void: str = "") -> Row:
    """The row with what it was made against; void where one of ``runs`` is near chance, or for the reason given.

    Args:
        one: the experiment.
        runs: the settings that the row compares, or that it rests on, the control first.
        control: in words, where the first of ``runs`` does not say it.
        void: why the row says nothing even where its models have learnt.
    """
    checked = {**row, "runs": list(runs), "control": control or runs[0]}
    guessing = [name for name in runs if experiment.near_chance(name)]
    if guessing:
        why = f"{', '.join(guessing)} near or below chance (accuracy below {100 * experiment.least_accuracy:.0f} %)"
        return {**checked, "verdict": VOID, "why": why}
    return {**checked, "verdict": void} if void else checked


def counted_once(folder: Path, rows: Sequence[Row]) -> list[Row]:
    """The rows of one experiment, with those void whose outcomes an earlier row of the same claim has counted.

    Two attacks of which one finds what the other does, or two methods whose models answer alike, are one measurement.
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
    """Whether both rows of one claim are the same numbers, made of the same outcomes of as many runs."""
    keys = ("claim", "value", "low", "high", "by_seed")
    if is_void(earlier["verdict"]) or any(row[key] != earlier[key] for key in keys):
        return False
    sides = [
        [outcomes_by_seed(folder, setting, check["quantity"]) for setting in check["runs"]] for check in (row, earlier)
    ]
    return sides[0] == sides[1] and None not in sides[0]


def outcomes_by_seed(folder: Path, setting: str, quantity: str) -> list[Any] | None:
    """What a setting's runs did, by seed: each example's outcome under an attack, or clean accuracy and all outcomes.

    None where a row measures anything else: equal numbers do not make it the same.
    """
    runs = runs_by_seed(folder, setting)
    if quantity in (ACCURACY, COLLAPSE):
        return [(seed, accuracy_of(run), read_statuses(run)) for seed, run in runs.items()]
    outcomes = [(seed, read_statuses(run).get(quantity)) for seed, run in runs.items()]
    return outcomes if all(statuses for _, statuses in outcomes) else None


NORMAL = "normal"
CLEAN_LOSS = 1.5


def claim(
    experiment: TextExperiment,
    number: str,
    text: str,
    comparison: Comparison | None,
    models: tuple[str, ...],
    **more: Any,
) -> list[Row]:
    """One row, or none where there is nothing to compare. ``above``, ``below``: the side on which the claim holds.

    ``models``, ``control`` and ``void`` are those of `benchmarks.study.checks.judged`, the control first.
    """
    if comparison is None:
        return []
    limits = {key: more.pop(key) for key in ("above", "below") if key in more}
    options = {key: more.pop(key) for key in ("control", "void") if key in more}
    row = {
        "claim": number,
        "text": text,
        **comparison.difference._asdict(),
        "verdict": verdict(comparison.difference, **limits),
    }
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
    """Where the interval lies, how wide it is, and how far the seeds are apart."""
    limits_in_words = " and ".join(f"{key} {limit:g}" for key, limit in limits.items())
    position = {
        "holds": f"the whole interval is {limits_in_words}",
        "does not hold": f"no part of the interval is {limits_in_words}",
        "undecided": f"the interval (half width {comparison.width:.2g}) is not wholly {limits_in_words}",
    }[decided]
    values = comparison.difference.by_seed
    seeds = f"{len(values)} seeds, sd {statistics.stdev(values):.2g}" if len(values) > 1 else "one seed"
    return f"{position}; {seeds}"


def trained_on(attack: str) -> str:
    return " (trained on)" if attack == ATTACK else ""
