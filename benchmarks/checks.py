"""One rule for every check of a claim: what it was made against, when it says nothing, and that it counts once.

A check is a row: a difference with its interval, the settings whose runs it compares (``runs``, the control first),
the control in words (``control``), and a verdict. It is *void*, and counts for nothing, where a run of it is near
chance, whatever was measured of it: a model that has learnt next to nothing keeps its one answer under any attack, and
what it lost is no cost of a method. It is void too where it measures something else than the claim speaks of, and
where an earlier check of the claim has the same outcomes. Whether training collapses at all is asked of all runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.paired import VOID, accuracy_of, runs_by_seed, statuses_of

Row = dict[str, Any]
ACCURACY, COLLAPSE = "accuracy", "collapse"
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

    def near_guessing(self, method: str) -> bool: ...


def is_void(verdict: str) -> bool:
    return verdict.startswith("void")


def void_reasons(verdicts: Iterable[str]) -> str:
    """How many checks are void, and why: ``6 void (4 near chance, 2 counted above)``; empty without any."""
    counts = Counter(verdict.partition(": ")[2] for verdict in verdicts if is_void(verdict))
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return f"{counts.total()} void ({reasons})" if counts else ""


def judged(one: Learnt, row: Row, runs: Sequence[str], control: str | None = None, void: str = "") -> Row:
    """The row with what it was made against; void where one of ``runs`` is near chance, or for the reason given.

    Args:
        one: the experiment.
        runs: the settings that the row compares, or that it rests on, the control first.
        control: in words, where the first of ``runs`` does not say it.
        void: why the row says nothing even where its models have learnt.
    """
    found = {**row, "runs": list(runs), "control": control or runs[0]}
    guessing = [name for name in runs if one.near_guessing(name)]
    if guessing:
        why = f"{', '.join(guessing)} near or below chance (accuracy below {100 * one.least_accuracy:.0f} %)"
        return {**found, "verdict": VOID, "why": why}
    return {**found, "verdict": void} if void else found


def counted_once(folder: Path, rows: Sequence[Row]) -> list[Row]:
    """The rows of one experiment, with those void whose outcomes an earlier row of the same claim has counted.

    Two attacks of which one finds what the other does, or two methods whose models answer alike, are one measurement.
    """
    kept: list[Row] = []
    for row in rows:
        earlier = [] if is_void(row["verdict"]) else kept
        same = next((one for one in earlier if repeats(folder, row, one)), None)
        kept.append(row if same is None else {**row, "verdict": REPEATED, "why": f"the outcomes of: {same['text']}"})
    return kept


def repeats(folder: Path, row: Row, earlier: Row) -> bool:
    """Whether both rows of one claim are the same numbers, made of the same outcomes of as many runs."""
    if is_void(earlier["verdict"]) or any(row[key] != earlier[key] for key in ("claim", "value", "low", "high")):
        return False
    if row["by_seed"] != earlier["by_seed"] or len(row["runs"]) != len(earlier["runs"]):
        return False
    pairs = zip(row["runs"], earlier["runs"], strict=True)
    return all(
        outcomes(folder, first, row["quantity"]) == outcomes(folder, second, earlier["quantity"])
        for first, second in pairs
    )


def outcomes(folder: Path, setting: str, quantity: str) -> Any:
    """By seed what a setting's runs did: clean accuracy, or the outcome of each example under an attack.

    Of any other quantity its name and the setting's, so that it is equal to itself alone.
    """
    runs = runs_by_seed(folder, setting)
    if quantity in (ACCURACY, COLLAPSE):
        return {seed: accuracy_of(run) for seed, run in runs.items()}
    # As text: an outcome may be nan, which equals nothing.
    found = {seed: str(statuses_of(run, quantity)) for seed, run in runs.items()}
    return found if found and all(value != "{}" for value in found.values()) else (setting, quantity)
