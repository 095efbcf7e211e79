"""Pairs of texts that differ by swapped words, from the records of any attack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hf_robust.metrics import AttackRecord
from hf_robust.words import Text

ATTACKED = ("succeeded", "failed")


@dataclass(frozen=True)
class Pair:
    """A text and its perturbed form, whose words stand at the same positions.

    Attributes:
        changed: positions of the words that differ.
    """

    idx: int
    label: int
    status: str
    original: tuple[str, ...]
    perturbed: tuple[str, ...]
    changed: tuple[int, ...]


def substitution_pairs(
    records: Iterable[AttackRecord], statuses: Sequence[str] = ATTACKED
) -> tuple[list[Pair], dict[str, int]]:
    """The pairs that share their positions, in the records' order, and how many records were left out and why.

    A pair is kept where the columns have equally many words and the words that differ are those that the record says
    were changed: an insertion that a deletion makes up for elsewhere is no substitution.

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
        pairs.append(Pair(record.idx, record.label, record.status, *texts, changed))
    return pairs, dict(counts)


def _changed(record: AttackRecord) -> tuple[int, ...] | None:
    """Positions that differ; None where words do not stand one for one."""
    before, after = Text(tuple(record.original)).words, Text(tuple(record.perturbed)).words
    if [word.column for word in before] != [word.column for word in after]:
        return None
    differ = tuple(index for index, (a, b) in enumerate(zip(before, after, strict=True)) if a.text != b.text)
    noted = {int(index) for index, *_ in record.changed}
    return differ if differ and noted.issuperset(differ) else None
