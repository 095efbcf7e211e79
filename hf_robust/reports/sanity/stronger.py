"""Check that a stronger attack does not find less than a weaker one.

An attack is stronger than another if it may do everything that the other may, and more. This is read from the
descriptions in the run card (``Attack.describe()``). The order is partial: attacks with another lexicon or another
search are not comparable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

from hf_robust.reports.cells import percent, union_label
from hf_robust.reports.compare import as_compared
from hf_robust.reports.sanity.commands import attack_command
from hf_robust.reports.sanity.evidence import Evidence, Folder, Key, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.sanity.pairing import Compared, compare, compare_outcomes

Described = Mapping[str, Any]

KNOWN = {("textfooler", "a2t"), ("synonym", "a2t"), ("iga", "genetic")}
"""Pairs (stronger, weaker) by their papers: more neighbours of each word, no limit of a tenth of the words, words that
may change again. They also differ in parts that have no order: stop words, encoder, word order."""
_IGNORED_FOR_KNOWN = ("stop_words", "sentence_similarity", "word_distance")
_SAME = ("goal", "scores", "skip_labels", "skip_misclassified", "vote", "backend", "time_limit")
_TOGETHER = ("search", "ranking", "word_rule")


def is_stronger(first: Described, second: Described) -> bool:
    """Whether ``first`` may do everything that ``second`` may, and not the other way round."""
    return is_at_least(first, second) and not is_at_least(second, first)


def is_at_least(first: Described, second: Described) -> bool:
    """Whether ``first`` may do everything that ``second`` may.

    Its candidates are the same or more, its constraints the same, fewer or looser, and its budget and number of
    changed words the same or larger. The goal is the same, and except for KNOWN pairs also search and ranking.
    """
    if not first or not second or "candidates" not in first or "candidates" not in second:
        return False
    first, second = as_compared(first), as_compared(second)
    known = (first.get("name"), second.get("name")) in KNOWN
    same = (*_SAME, *(() if known else _TOGETHER))
    return (
        all(_value(first, key) == _value(second, key) for key in same)
        and _no_smaller(first.get("query_budget"), second.get("query_budget"))
        and _no_smaller(first.get("max_changed"), second.get("max_changed"))
        and set(first.get("frozen_columns") or ()) <= set(second.get("frozen_columns") or ())
        and _covers(first["candidates"], second["candidates"])
        and _no_tighter(first.get("constraints") or (), second.get("constraints") or (), known)
    )


def _value(described: Described, key: str) -> Any:
    # Older descriptions have no word rule; all attacks used TextAttack's.
    return described.get(key, "textattack" if key == "word_rule" else None)


def _no_smaller(first: float | None, second: float | None) -> bool:
    """Whether the first limit is at least the second; None is no limit."""
    return first is None or (second is not None and first >= second)


def _covers(first: Described, second: Described) -> bool:
    """Whether ``first`` proposes every candidate that ``second`` proposes."""
    wanted, offered = _sources(second), _sources(first)
    return all(any(_offers(one, other) for one in offered) for other in wanted)


def _sources(candidates: Described) -> list[Described]:
    return list(candidates["sources"]) if candidates.get("name") == "any_of" else [candidates]


def _offers(first: Described, second: Described) -> bool:
    mine, theirs = dict(first), dict(second)
    return _no_smaller(mine.pop("k", None), theirs.pop("k", None)) and mine == theirs


def _no_tighter(first: Any, second: Any, known: bool) -> bool:
    """Whether each constraint of ``first`` is equal to one of ``second`` or looser."""
    return all(any(_is_looser(one, other, known) for other in second) for one in first if _binds(one))


def _binds(constraint: Described) -> bool:
    return constraint.get("name") != "open_columns" or bool(constraint.get("frozen"))


def _is_looser(first: Described, second: Described, known: bool) -> bool:
    name = first.get("name")
    if name != second.get("name"):
        return False
    if first == second or (known and name in _IGNORED_FOR_KNOWN):
        return True
    for key, looser in _LOOSER.get(str(name), {}).items():
        if looser(first.get(key), second.get(key)):
            first, second = ({k: v for k, v in one.items() if k != key} for one in (first, second))
    return first == second


def _at_most(first: Any, second: Any) -> bool:
    return first is not None and second is not None and first <= second


def _implied(first: Any, second: Any) -> bool:
    return set(first or ()) <= set(second or ())


_LOOSER: dict[str, dict[str, Any]] = {
    "max_modification_rate": {"rate": _no_smaller, "minimum": _no_smaller},
    "max_edit_distance": {"maximum": _no_smaller},
    "max_changed_words": {"share": _no_smaller, "count": _no_smaller},
    "max_changed_share": {"share": _no_smaller},
    "protected": {"kinds": _implied},
    "sentence_similarity": {"minimum": _at_most},
    "part_of_speech": {"verb_noun_swap": lambda first, second: bool(first) >= bool(second)},
    "open_columns": {"frozen": _implied},
}
"""By constraint and setting: function that says whether the first value is as loose as the second."""


def stronger_attacks(evidence: Evidence) -> Finding:
    """Carlini et al. 2019: a stronger attack that finds less than a weaker one does not work.

    Flagged only if the paired difference is significant: a greedy search with more candidates may by chance end with a
    worse text.
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
        reason = (
            "the folders hold neither records nor statuses of the comparable attacks"
            if ordered
            else "the run has no two attacks of which one is stronger than the other"
        )
        finding.missing.append(f"{reason}; measure one attack with a smaller budget.")
        searching = [one for one in evidence.main.attacks if one.searches]
        queries = searching[0].result.get("queries", math.nan) if searching else math.nan
        if math.isfinite(queries):
            budget = max(2, round(queries / 2))
            to = f"budget-{budget}"
            finding.suggest(attack_command(evidence.main, searching[:1], to, attack_query_budget=budget))
    return finding


def _judge(finding: Finding, strong: str, weak: str, compared: Compared | None) -> bool:
    """Add the comparison to the finding; return whether it is flagged."""
    if compared is None:
        return False
    sentence = (
        f"{strong} is stronger than {weak}: ASR {percent(compared.second)} % against "
        f"{percent(compared.first)} %, {compared.in_words()}"
    )
    (finding.flags if compared.is_fall else finding.observations).append(f"{sentence}.")
    finding.numbers.append({"stronger": strong, "weaker": weak, **compared.numbers()})
    return compared.is_fall


def _with_more_effort(folder: Folder, strong: MeasuredAttack) -> str:
    if strong.described.get("query_budget"):
        return attack_command(folder, [strong], "no-budget", attack_query_budget=None)
    return attack_command(folder, [strong], "random", attack_ranking="random")


def _unions(evidence: Evidence) -> Iterator[tuple[tuple[str, str], Compared | None]]:
    """Pairs of unions of which one has an attack at least as strong for each attack of the other, not vice versa."""
    folders = [evidence.main, *evidence.others]
    parts = {id(one): [attack for attack in one.attacks if attack.searches and attack.records] for one in folders}
    for first, second in permutations(folders, 2):
        mine, theirs = parts[id(first)], parts[id(second)]
        if max(len(mine), len(theirs)) < 2 or not _all_matched(mine, theirs) or _all_matched(theirs, mine):
            continue
        labels = tuple(" + ".join(attack.label for attack in one) for one in (mine, theirs))
        yield (labels[0], labels[1]), compare_outcomes(_worst(theirs), _worst(mine))


def _all_matched(mine: Sequence[MeasuredAttack], theirs: Sequence[MeasuredAttack]) -> bool:
    return bool(mine and theirs) and all(
        any(is_at_least(one.described, other.described) for one in mine) for other in theirs
    )


def _worst(attacks: Sequence[MeasuredAttack]) -> dict[Key, float]:
    """Outcomes of the union: a success where any attack succeeds, over the examples that all attacks have."""
    keys = set.intersection(*(set(one.outcomes) for one in attacks))
    first = attacks[0].outcomes
    return {key: max(one.outcomes[key] for one in attacks) for key in first if key in keys}


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
    sentence = f"{union_label(union)}: accuracy {percent(worst)} %, the lowest of its attacks {percent(least)} %"
    if worst > least + 1e-9:
        finding.flags.append(f"{sentence}, N = {union.get('num_examples', 0):,.0f}; the union cannot be above it.")
