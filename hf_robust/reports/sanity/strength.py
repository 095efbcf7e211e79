"""Which of two described attacks is the stronger one: it may do all that the other may, and more.

A description is what ``Attack.describe()`` notes in the run card. The order is partial: attacks with parts that
nothing orders (another lexicon, another search) do not compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_robust.reports.compare import as_compared

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
