"""``Cascade``: attacks in a row, each of which meets only the examples that withstood all before it."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, repeat
from typing import Any

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.quality import Quality
from hf_robust.metrics import AttackRecord
from hf_robust.runs import FileList

AttackOne = Callable[[Any, Sequence[Example]], tuple[Sequence[AttackRecord], float]]
"""Runs one attack on some examples; returns their records, sorted by ``idx``, and the seconds that it took."""


@dataclass
class Cascade:
    """Attacks in the order in which they run. An example ends at its first success.

    The status of each example is that of the union of the attacks run alone, since an attack's outcome on an example
    does not depend on which others are attacked. Queries are summed over the attacks that met the example. The text
    of an example that withstood all of them is that of the last attack that could change it.

    Attributes:
        title: name of the number that it measures, equal for equal attacks and resources only.
        resources: tables and models of the attacks by role, described.
        quality: what is measured of each success.
    """

    name: str
    members: tuple[Attack, ...]
    title: str
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    seed: int = 0
    skip_labels: frozenset[int] = frozenset()
    needs_candidates: bool = True
    own_examples: tuple[Example, ...] | None = None

    def describe(self) -> dict[str, Any]:
        """The title, the resources and the description of each attack, for the run card; JSON-ready."""
        return {
            "name": self.name,
            "standard": self.title,
            "goal": Misclassify().describe(),
            "resources": self.resources,
            "scores": self.members[0].scores,
            "members": {member.name: member.describe() for member in self.members},
        }

    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of everything that a result can depend on."""
        content = json.dumps([member.fingerprint() for member in self.members])
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()

    @property
    def with_table(self) -> Attack | None:
        """The first attack that has a table, whose coverage is reported; None if no attack has one."""
        return next((member for member in self.members if member.candidates.lookup is not None), None)

    def run(
        self, examples: Sequence[Example], attack_one: AttackOne
    ) -> tuple[Sequence[AttackRecord], dict[str, float]]:
        """Return a record for each example, sorted by ``idx``, and the seconds of each attack that met one."""
        by_member, seconds, left = dict[str, Sequence[AttackRecord]](), dict[str, float](), list(examples)
        for member in self.members:
            if not left:
                break
            records, seconds[member.name] = attack_one(member, left)
            by_member[member.name] = records
            withstood = {record.idx for record in records if record.status == "failed"}
            left = [example for example in left if example.idx in withstood]
        return FileList(self.quality.measured(map(_joined, _by_example(by_member)))), seconds


def _by_example(by_member: Mapping[str, Sequence[AttackRecord]]) -> Iterator[dict[str, AttackRecord]]:
    """Yield the records of each example by the attacks that met it, one example at a time, sorted by ``idx``."""
    numbered = [zip(repeat(name), records, strict=False) for name, records in by_member.items()]
    for _, met in groupby(heapq.merge(*numbered, key=_idx), key=_idx):
        yield dict(met)


def _idx(named: tuple[str, AttackRecord]) -> int:
    return named[1].idx


def _joined(by_member: Mapping[str, AttackRecord]) -> AttackRecord:
    """One record of an example from those of the attacks that met it."""
    records = list(by_member.values())
    last = records[-1]
    if last.status == "failed":
        last = next((record for record in reversed(records) if record.stop != "no_candidates"), last)
    return replace(
        last,
        queries=sum(record.queries for record in records),
        num_candidates=sum(record.num_candidates for record in records),
        near_ties=sum(record.near_ties for record in records),
        members={name: record.queries for name, record in by_member.items()},
    )
