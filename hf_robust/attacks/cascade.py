"""``Cascade``: attacks in a row, each of which meets only the examples that withstood all before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.quality import Quality
from hf_robust.metrics import AttackRecord

AttackOne = Callable[[Any, Sequence[Example]], tuple[list[AttackRecord], float]]
"""Runs one attack on some examples; returns their records and the seconds that it took."""


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

    def run(self, examples: Sequence[Example], attack_one: AttackOne) -> tuple[list[AttackRecord], dict[str, float]]:
        """Return a record for each example, sorted by ``idx``, and the seconds of each attack that met one."""
        met: dict[int, dict[str, AttackRecord]] = {example.idx: {} for example in examples}
        left, seconds = list(examples), {}
        for member in self.members:
            if not left:
                break
            records, seconds[member.name] = attack_one(member, left)
            for record in records:
                met[record.idx][member.name] = record
            withstood = {record.idx for record in records if record.status == "failed"}
            left = [example for example in left if example.idx in withstood]
        records = [_joined(met[idx]) for idx in sorted(met)]
        return self.quality.measured(records), seconds


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
