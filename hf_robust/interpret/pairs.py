"""Pairs of texts that differ only by word substitutions, from attack records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hf_robust.metrics import AttackRecord
from hf_robust.words import TEXTATTACK_WORDS, UNICODE_WORDS, Text, WordRule, word_rule

ATTACKED = ("succeeded", "failed")


@dataclass(frozen=True)
class Pair:
    """A text and its perturbed form, with words at the same positions; ``changed`` holds the positions that differ.

    The words are those by ``rule``.
    """

    idx: int
    label: int
    status: str
    original: tuple[str, ...]
    perturbed: tuple[str, ...]
    changed: tuple[int, ...]
    rule: WordRule = UNICODE_WORDS


def substitution_pairs(
    records: Iterable[AttackRecord], statuses: Sequence[str] = ATTACKED
) -> tuple[list[Pair], dict[str, int]]:
    """Pairs with words at the same positions, in the order of the records, and the numbers of records left out.

    A pair is kept if the columns have equal numbers of words and only words change that the record lists as changed.
    So an insertion balanced by a deletion elsewhere is not a substitution. Both conditions must hold for the words of
    the record and for those of the pair: the record's own if the attack was told the language of the texts, else
    ``UnicodeWords``.

    Returns:
        The pairs, and counts: ``records``, ``other_status``, ``unchanged``, ``not_one_to_one``, ``pairs``.
    """
    pairs: list[Pair] = []
    counts = Counter({name: 0 for name in ("records", "other_status", "unchanged", "not_one_to_one", "pairs")})
    for record in records:
        counts["records"] += 1
        if record.status not in statuses:
            counts["other_status"] += 1
            continue
        if record.original == record.perturbed:
            counts["unchanged"] += 1
            continue
        changed = _changed(record)
        if changed is None:
            counts["not_one_to_one"] += 1
            continue
        counts["pairs"] += 1
        texts = tuple(record.original), tuple(record.perturbed)
        pairs.append(Pair(record.idx, record.label, record.status, *texts, changed, _rule(record)))
    return pairs, dict(counts)


def _changed(record: AttackRecord) -> tuple[int, ...] | None:
    """Positions that differ; None if the words do not correspond one to one."""
    differ = _differ(record.text(record.original), record.text(record.perturbed))
    if not differ or not {int(index) for index, *_ in record.changed}.issuperset(differ):
        return None
    rule = _rule(record)
    return _differ(Text(tuple(record.original), rule), Text(tuple(record.perturbed), rule)) or None


def _rule(record: AttackRecord) -> WordRule:
    """The words that are explained; those of a recipe that follows TextAttack are ``UnicodeWords`` here."""
    return UNICODE_WORDS if record.word_rule == TEXTATTACK_WORDS.name else word_rule(record.word_rule)


def _differ(before: Text, after: Text) -> tuple[int, ...] | None:
    """Positions at which the words of two texts differ; None if the words do not correspond one to one."""
    if [word.column for word in before.words] != [word.column for word in after.words]:
        return None
    return tuple(index for index, (a, b) in enumerate(zip(before.tokens, after.tokens, strict=True)) if a != b)
