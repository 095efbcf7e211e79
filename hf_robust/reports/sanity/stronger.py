"""Do stronger attacks find more? One that may do all that another may, and more, must not find less."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import permutations

from hf_robust.reports.cells import percent, union_label
from hf_robust.reports.sanity.commands import attack_command
from hf_robust.reports.sanity.evidence import Evidence, Folder, Key, Measured
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.sanity.pairing import Compared, compare, compare_outcomes
from hf_robust.reports.sanity.strength import is_at_least, is_stronger


def stronger_attacks(evidence: Evidence) -> Finding:
    """Carlini et al. 2019: a stronger attack that finds less is an attack that does not work.

    Which of two is stronger is read from their descriptions (`strength`). Flagged only where the paired interval
    excludes chance: a greedy search with more to choose from may by bad luck end in a worse place.
    """
    finding = Finding("stronger_attacks", "stronger attacks against weaker ones")
    ordered = [
        pair for pair in permutations(evidence.measured, 2) if is_stronger(pair[0].described, pair[1].described)
    ]
    for strong, weak in ordered:
        if _judge(finding, strong.label, weak.label, compare(weak, strong)):
            finding.suggest(_with_more_effort(evidence.main, strong))
    for names, compared in _unions(evidence):
        _judge(finding, *names, compared)
    _union_of_the_history(finding, evidence)
    if not finding.numbers:
        reason = "their examples were not kept" if ordered else "no two of its attacks are one stronger than the other"
        finding.missing.append(f"{reason}; measure one with a smaller budget.")
        searching = [one for one in evidence.main.attacks if one.searches]
        spent = searching[0].result.get("queries", math.nan) if searching else math.nan
        if math.isfinite(spent):
            budget = max(2, round(spent / 2))
            to = f"budget-{budget}"
            finding.suggest(attack_command(evidence.main, searching[:1], to, attack_query_budget=budget))
    return finding


def _judge(finding: Finding, strong: str, weak: str, compared: Compared | None) -> bool:
    """Note the comparison; whether it is flagged."""
    if compared is None:
        return False
    said = (
        f"{strong} may do all that {weak} may, and more: ASR {percent(compared.second)} % against "
        f"{percent(compared.first)} %, {compared.in_words()}"
    )
    (finding.flags if compared.is_fall else finding.seen).append(f"{said}.")
    finding.numbers.append({"stronger": strong, "weaker": weak, **compared.numbers()})
    return compared.is_fall


def _with_more_effort(folder: Folder, strong: Measured) -> str:
    if strong.described.get("query_budget"):
        return attack_command(folder, [strong], "no-budget", attack_query_budget=None)
    return attack_command(folder, [strong], "random", attack_ranking="random")


def _unions(evidence: Evidence) -> Iterator[tuple[tuple[str, str], Compared | None]]:
    """Unions of two folders of which one has, for each attack of the other, one at least as strong, and more."""
    folders = [evidence.main, *evidence.others]
    parts = {id(one): [found for found in one.attacks if found.searches and found.records] for one in folders}
    for first, second in permutations(folders, 2):
        mine, theirs = parts[id(first)], parts[id(second)]
        if max(len(mine), len(theirs)) < 2 or not _all_matched(mine, theirs) or _all_matched(theirs, mine):
            continue
        labels = tuple(" + ".join(found.label for found in one) for one in (mine, theirs))
        yield (labels[0], labels[1]), compare_outcomes(_worst(theirs), _worst(mine))


def _all_matched(mine: Sequence[Measured], theirs: Sequence[Measured]) -> bool:
    return bool(mine and theirs) and all(
        any(is_at_least(one.described, other.described) for one in mine) for other in theirs
    )


def _worst(found: Sequence[Measured]) -> dict[Key, float]:
    """An example succeeds where any attack does, among the examples that all were given."""
    keys = set.intersection(*(set(one.outcomes) for one in found))
    first = found[0].outcomes
    return {key: max(one.outcomes[key] for one in found) for key in first if key in keys}


def _union_of_the_history(finding: Finding, evidence: Evidence) -> None:
    line = evidence.run.published
    union = line.get("union")
    if not union:
        return
    members = {name: line["attacks"][name] for name in union["attacks"] if name in line["attacks"]}
    same = [one for one in members.values() if one.get("num_examples") == union.get("num_examples")]
    least = min((one.get("robust_accuracy", math.nan) for one in same), default=math.nan)
    worst = float(union["robust_accuracy"])
    if not math.isfinite(least) or not math.isfinite(worst):
        return
    said = f"{union_label(union)}: accuracy {percent(worst)} %, the least of its parts {percent(least)} %"
    if worst > least + 1e-9:
        finding.flags.append(f"{said}, N = {union.get('num_examples', 0):,.0f}; it cannot be above them.")
