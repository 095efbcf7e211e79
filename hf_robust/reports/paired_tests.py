"""Do two runs differ on the very same examples? McNemar's exact test for each attack and pair, corrected over all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from hf_robust.metrics import Difference, Transition, holm, paired_difference
from hf_robust.metrics.paired import OUTCOMES, rates, robust
from hf_robust.reports.aims import is_obstinate, success_rate_applies
from hf_robust.reports.compare import same_rows
from hf_robust.reports.outcomes import AttackOutcomes, ReportedRun

ROBUST, ASR = "robust accuracy", "ASR"


@dataclass(frozen=True)
class PairedTest:
    """Two runs under one attack: n examples, of which ``first_only`` went well in the first run alone.

    Of an attack that wants another prediction the rate is ROBUST over all examples: well is right on the clean text
    and not changed by the attack (status ``failed``). Of one that wants the prediction kept it is ASR over the
    examples that were attacked in both runs: well is that the attack failed. ``difference`` is second minus first of
    the rate, in points; ``corrected`` is Holm's p over all tests of the report.
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
    """Every test between runs of different groups, and a sentence for each thing that could not be tested.

    Of two groups those runs are paired that share a seed; where none does, each with each.
    """
    tests: list[PairedTest] = []
    notes: dict[str, None] = {}
    for attack in _attacks(groups, notes):
        for first, second in _pairs(groups):
            mine, theirs = first.outcomes.get(attack), second.outcomes.get(attack)
            if mine is None or theirs is None:
                continue
            idle = [one.name for one in (first, second) if one.run.published["attacks"][attack].get("covered") == 0]
            if idle:
                notes[f"{attack}, {' and '.join(idle)}: no text had a substitute, so there is nothing to test."] = None
                continue
            same, reason = _same_examples(first, second, mine, theirs)
            if reason:
                notes[f"{attack}, {first.name} and {second.name}: {reason}."] = None
            pairs = [(mine.statuses[idx], theirs.statuses[idx]) for idx in same]
            rate = ASR if is_obstinate(first.run, attack) else ROBUST
            if rate == ASR:
                pairs, left = _attacked_in_both(pairs)
                if left:
                    notes[f"{attack}, {first.name} and {second.name}: {left}."] = None
            if pairs:
                tests.append(_test(attack, rate, first.name, second.name, pairs))
    corrected = holm([test.p for test in tests])
    return [replace(test, corrected=p) for test, p in zip(tests, corrected, strict=True)], list(notes)


def _attacks(groups: Sequence[Sequence[ReportedRun]], notes: dict[str, None]) -> Iterator[str]:
    """The attacks that have a rate to be tested; what is missing is noted."""
    every = [named for group in groups for named in group]
    for attack in dict.fromkeys(name for named in every for name in named.run.published["attacks"]):
        measured = [named for named in every if attack in named.run.published["attacks"]]
        if not all(success_rate_applies(named.run, attack) for named in measured):
            notes[f"{attack} is not tested: every example that was right ends as its success."] = None
            continue
        without = [named.name for named in measured if attack not in named.outcomes]
        if without:
            notes[
                f"{attack}: {', '.join(without)} kept neither attack_results nor statuses.json of the published epoch "
                "and cannot be paired."
            ] = None
        yield attack


def _pairs(groups: Sequence[Sequence[ReportedRun]]) -> Iterator[tuple[ReportedRun, ReportedRun]]:
    for some, others in combinations(groups, 2):
        every = list(product(some, others))
        shared = [(a, b) for a, b in every if "seed" in a.run.card and a.run.card["seed"] == b.run.card.get("seed")]
        yield from shared or every


def _same_examples(
    first: ReportedRun, second: ReportedRun, mine: AttackOutcomes, theirs: AttackOutcomes
) -> tuple[list[int], str]:
    """The idx of the examples that both runs were given, and why others are left out."""
    common = [idx for idx in mine.statuses if idx in theirs.statuses]
    single = len(mine.statuses) + len(theirs.statuses) - 2 * len(common)
    reasons = [f"{single} examples that one of them alone was given are left out"] if single else []
    if mine.records is None or theirs.records is None:
        if not same_rows(first.run.data, second.run.data):
            return [], "kept without texts, and their run cards do not show that the data are the same; not tested"
    else:
        same = [idx for idx in common if mine.records[idx].original == theirs.records[idx].original]
        if len(same) < len(common):
            reasons.append(f"{len(common) - len(same)} examples with different texts are left out")
        common = same
    if not common:
        reasons.append("no example is left to test")
    return common, "; ".join(reasons)


def _attacked_in_both(pairs: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], str]:
    """Statuses of the examples that were attacked in both runs, and how many are left out."""
    kept = [pair for pair in pairs if "skipped" not in pair]
    left = len(pairs) - len(kept)
    return kept, f"{left} of {len(pairs)} examples that one of them was not attacked on are left out" if left else ""


def _test(attack: str, rate: str, first: str, second: str, statuses: Sequence[tuple[str, str]]) -> PairedTest:
    right = [[status == "failed" for status in side] for side in zip(*statuses, strict=True)]
    counted = Transition.of(*right)
    base, other = (np.array([[OUTCOMES[status] for status in side]]) for side in zip(*statuses, strict=True))
    return PairedTest(
        attack, rate, first, second, len(statuses), counted.introduced, counted.fixed,
        paired_difference(base, other, rates if rate == ASR else robust), counted.mcnemar_p,
    )  # fmt: skip
