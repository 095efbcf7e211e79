"""McNemar's exact test of each attack for each pair of runs on the same examples, with Holm's correction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from hf_robust.metrics import ConfidenceSequence, Difference, Transition, holm, paired_difference
from hf_robust.metrics.paired import OUTCOMES, rates, robust
from hf_robust.reports.aims import is_obstinate, success_rate_applies
from hf_robust.reports.compare import same_rows
from hf_robust.reports.outcomes import AttackOutcomes, ReportedRun

ROBUST, ASR = "robust accuracy", "ASR"


@dataclass(frozen=True)
class PairedTest:
    """Test of two runs under one attack on n examples.

    ``first_only`` examples are a success of the defence in the first run alone, ``second_only`` in the second alone.
    For attacks that change the prediction, ``rate`` is ROBUST over all examples: the prediction is correct and the
    attack failed. For attacks that keep it, ``rate`` is ASR over the examples attacked in both runs: the attack
    failed. ``difference`` is second minus first of the rate, in points; ``corrected`` is Holm's p over all tests of
    the report.
    """

    attack: str
    rate: str
    first: str
    second: str
    n: int
    first_only: int
    second_only: int
    difference: Difference
    p: float
    corrected: float = 1.0


def paired_tests(groups: Sequence[Sequence[ReportedRun]]) -> tuple[list[PairedTest], list[str]]:
    """All tests between runs of different groups, and a sentence for each comparison that could not be tested.

    Runs of two groups are paired if they share a seed; if no seed is shared, each run is paired with each.
    """
    tests: list[PairedTest] = []
    notes: dict[str, None] = {}
    for attack in _attacks(groups, notes):
        for first, second in _pairs(groups):
            mine, theirs = first.outcomes.get(attack), second.outcomes.get(attack)
            if mine is None or theirs is None:
                continue
            if omission := _not_tested(attack, first, second):
                notes[omission] = None
                continue
            same, reason = _same_examples(first, second, mine, theirs)
            if reason:
                notes[f"{attack}, {first.name} and {second.name}: {reason}."] = None
            pairs = [(mine.statuses[idx], theirs.statuses[idx]) for idx in same]
            rate = ASR if is_obstinate(first.run, attack) else ROBUST
            if rate == ASR:
                pairs, omission = _attacked_in_both(pairs)
                if omission:
                    notes[f"{attack}, {first.name} and {second.name}: {omission}."] = None
            if pairs:
                tests.append(_test(attack, rate, first.name, second.name, pairs))
    corrected = holm([test.p for test in tests])
    return [replace(test, corrected=p) for test, p in zip(tests, corrected, strict=True)], list(notes)


def _attacks(groups: Sequence[Sequence[ReportedRun]], notes: dict[str, None]) -> Iterator[str]:
    """Attacks with a rate to test; notes say which are left out."""
    every = [named for group in groups for named in group]
    for attack in dict.fromkeys(name for named in every for name in named.run.published["attacks"]):
        measured = [named for named in every if attack in named.run.published["attacks"]]
        if not all(success_rate_applies(named.run, attack) for named in measured):
            notes[f"{attack} is not tested, since it succeeds on every correctly classified example."] = None
            continue
        without = [named.name for named in measured if attack not in named.outcomes]
        if without:
            notes[
                f"{attack}: {', '.join(without)} cannot be paired, since attack_results and statuses.json of the "
                "published epoch are missing."
            ] = None
        yield attack


def _not_tested(attack: str, first: ReportedRun, second: ReportedRun) -> str:
    """Why an attack on two runs is not tested; empty if it is."""
    results = {one.name: one.run.published["attacks"][attack] for one in (first, second)}
    if idle := [name for name, result in results.items() if result.get("covered") == 0]:
        return f"{attack}, {' and '.join(idle)}: not tested, since no text had a substitute."
    if stopped := [name for name, result in results.items() if ConfidenceSequence.of_result(result)]:
        return (
            f"{attack}, {' and '.join(stopped)}: not tested, since it stopped at an interval, so that its rows depend "
            "on its results."
        )
    return ""


def _pairs(groups: Sequence[Sequence[ReportedRun]]) -> Iterator[tuple[ReportedRun, ReportedRun]]:
    for some, others in combinations(groups, 2):
        every = list(product(some, others))
        shared = [(a, b) for a, b in every if "seed" in a.run.card and a.run.card["seed"] == b.run.card.get("seed")]
        yield from shared or every


def _same_examples(
    first: ReportedRun, second: ReportedRun, mine: AttackOutcomes, theirs: AttackOutcomes
) -> tuple[list[int], str]:
    """Idx of the examples that both runs share, and the reason why others are left out."""
    common = [idx for idx in mine.statuses if idx in theirs.statuses]
    single = len(mine.statuses) + len(theirs.statuses) - 2 * len(common)
    reasons = [f"{single} examples that only one of them has are left out"] if single else []
    if mine.records is None or theirs.records is None:
        if not same_rows(first.run.data, second.run.data):
            return [], "not tested, since texts are missing and the run cards do not show that the data are the same"
    else:
        same = [idx for idx in common if mine.records[idx].original == theirs.records[idx].original]
        if len(same) < len(common):
            reasons.append(f"{len(common) - len(same)} examples with different texts are left out")
        common = same
    if not common:
        reasons.append("no example is left to test")
    return common, "; ".join(reasons)


def _attacked_in_both(pairs: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], str]:
    """Statuses of the examples that were attacked in both runs, and a sentence on those left out."""
    attacked = [pair for pair in pairs if "skipped" not in pair]
    left = len(pairs) - len(attacked)
    return attacked, f"{left} of {len(pairs)} examples were not attacked in both and are left out" if left else ""


def _test(attack: str, rate: str, first: str, second: str, statuses: Sequence[tuple[str, str]]) -> PairedTest:
    withstood = [[status == "failed" for status in side] for side in zip(*statuses, strict=True)]
    counted = Transition.of(*withstood)
    base, other = (np.array([[OUTCOMES[status] for status in side]]) for side in zip(*statuses, strict=True))
    return PairedTest(
        attack, rate, first, second, len(statuses), counted.introduced, counted.fixed,
        paired_difference(base, other, rates if rate == ASR else robust), counted.mcnemar_p,
    )  # fmt: skip
