"""Runs one attack on all ranks: each rank attacks a share of the examples and receives all records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.attacks.attack import Attack, AttackOrForeign, Example
from hf_robust.attacks.cascade import Cascade
from hf_robust.attacks.engine.coverage import require_candidates
from hf_robust.attacks.engine.journal import journal_seconds, share_path
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.requests import Columns
from hf_robust.attacks.engine.scheduler import attack_dataset
from hf_robust.metrics import AttackRecord
from hf_robust.runs import Ranks, balanced_shares

if TYPE_CHECKING:
    from hf_robust.attacks.engine.classifier import Classifier


class Measured(NamedTuple):
    """The records of all examples, sorted by ``idx``, and the seconds of the slowest rank.

    ``by_member`` has the seconds of each attack of a cascade that met an example.
    """

    records: list[AttackRecord]
    seconds: float
    by_member: dict[str, float]


def attack_on_ranks(
    attack: AttackOrForeign,
    victim: Classifier,
    examples: Sequence[Example],
    key: str,
    *,
    journals: Path | None,
    ranks: Ranks,
    plans: Plans,
    progress: bool,
    check_candidates: bool = True,
    replayed: Mapping[int, Columns] | None = None,
    queries: Path | None = None,
) -> Measured:
    """Attack all examples; the result is equal on all ranks.

    Each rank attacks a share with about equal expected queries. An interrupted attack can resume on any number of
    ranks. The attacks of a cascade have a journal each, and the ranks share what is left before each of them.

    Args:
        key: ``attack_key``, which names the journal.
        journals: folder of the journals; None for no journal.
        check_candidates: whether to raise if no example has a candidate; False for a part of the data.
        replayed: by ``idx``, texts to score first.
        queries: the file of this rank to which every scored text is added.
    """
    if check_candidates:
        # Checks all examples, so that every rank gets the same answer.
        require_candidates(attack, plans, examples, victim)
    options: dict[str, Any] = {
        "journals": journals,
        "ranks": ranks,
        "plans": plans,
        "progress": progress,
        "queries": queries,
    }
    if isinstance(attack, Cascade):
        records, by_member = attack.run(examples, partial(_member, victim, key, options))
        return Measured(records, sum(by_member.values()), by_member)
    start = time.perf_counter()
    journal = None if journals is None else share_path(journals, key, ranks.rank, ranks.number)
    mine = attack_dataset(
        attack,
        victim,
        balanced_shares(examples, ranks.number)[ranks.rank],
        plans=plans,
        journal=journal,
        progress=progress,
        check_candidates=False,
        replayed=replayed,
        queries=queries,
    )
    # Seconds from the journal: the duration of the measurement, also after it was read back from the file.
    seconds = time.perf_counter() - start if journal is None else journal_seconds(journal)
    shares = ranks.gather(([record.to_json() for record in mine], seconds))
    records = [AttackRecord.from_json(record) for share_records, _ in shares for record in share_records]
    return Measured(sorted(records, key=lambda record: record.idx), max(seconds for _, seconds in shares), {})


def journal_keys(attack: AttackOrForeign, key: str) -> list[str]:
    """Names of the journals of an attack: its key, or for a cascade that of each of its attacks."""
    return [f"{key}-{member.name}" for member in attack.members] if isinstance(attack, Cascade) else [key]


def _member(
    victim: Classifier, key: str, options: Mapping[str, Any], attack: Attack, left: Sequence[Example]
) -> tuple[list[AttackRecord], float]:
    """Run one attack of a cascade on the examples that are left."""
    name = f"{key}-{attack.name}"
    measured = attack_on_ranks(attack, victim, left, name, check_candidates=False, **options)
    return measured.records, measured.seconds
