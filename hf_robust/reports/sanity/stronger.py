"""Do stronger attacks find more? One that may do all that another may, and more, must not find less.

Which of two described attacks is the stronger one: it may do all that the other may, and more.

A description is what ``Attack.describe()`` notes in the run card. The order is partial: attacks with parts that
nothing orders (another lexicon, another search) do not compare.
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
"""Stronger before weaker, by the parts that their papers give them: more neighbours of each word, no limit of a tenth
of the words, words that may change again. They also differ in parts that nothing orders: stop words, encoder, order of
the words."""
_BESIDE_THE_POINT = ("stop_words", "sentence_similarity", "word_distance")
_SAME = ("goal", "scores", "skip_labels", "skip_misclassified", "vote", "backend", "time_limit")
_TOGETHER = ("search", "ranking", "word_rule")


def is_stronger(first: Described, second: Described) -> bool:
    """Whether ``first`` may do all that ``second`` may, and not the other way round."""
    return is_at_least(first, second) and not is_at_least(second, first)


def is_at_least(first: Described, second: Described) -> bool:
    """Whether ``first`` may do all that ``second`` may.

    Candidates are the same or more, constraints the same or fewer or looser, and budget and number of changed words
    the same or larger; goal and, but for KNOWN pairs, search and ranking are the same.
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
    # Before it was noted, all attacks were by TextAttack's words.
    return described.get(key, "textattack" if key == "word_rule" else None)


def _no_smaller(first: float | None, second: float | None) -> bool:
    """None is no limit."""
    return first is None or (second is not None and first >= second)


def _covers(first: Described, second: Described) -> bool:
    """Whether ``first`` proposes all that ``second`` does."""
    wanted, offered = _sources(second), _sources(first)
    return all(any(_offers(one, other) for one in offered) for other in wanted)


def _sources(candidates: Described) -> list[Described]:
    return list(candidates["sources"]) if candidates.get("name") == "any_of" else [candidates]


def _offers(first: Described, second: Described) -> bool:
    mine, theirs = dict(first), dict(second)
    return _no_smaller(mine.pop("k", None), theirs.pop("k", None)) and mine == theirs


def _no_tighter(first: Any, second: Any, known: bool) -> bool:
    """Whether each constraint of ``first`` is one of ``second`` too, or a looser form of one."""
    return all(any(_is_looser(one, other, known) for other in second) for one in first if _binds(one))


def _binds(constraint: Described) -> bool:
    return constraint.get("name") != "open_columns" or bool(constraint.get("frozen"))


def _is_looser(first: Described, second: Described, known: bool) -> bool:
    name = first.get("name")
    if name != second.get("name"):
        return False
    if first == second or (known and name in _BESIDE_THE_POINT):
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
"""By constraint and setting: whether the first value lets as much pass as the second."""


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


def _with_more_effort(folder: Folder, strong: MeasuredAttack) -> str:
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


def _all_matched(mine: Sequence[MeasuredAttack], theirs: Sequence[MeasuredAttack]) -> bool:
    return bool(mine and theirs) and all(
        any(is_at_least(one.described, other.described) for one in mine) for other in theirs
    )


def _worst(found: Sequence[MeasuredAttack]) -> dict[Key, float]:
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
