"""Runs one attack on all ranks: each rank attacks a share of the examples and receives all records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_robust.attacks.attack import AttackOrForeign, Example
from hf_robust.attacks.engine.coverage import require_candidates
from hf_robust.attacks.engine.journal import journal_seconds, share_path
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.requests import Columns
from hf_robust.attacks.engine.scheduler import attack_dataset
from hf_robust.attacks.engine.until import parts_until, sequence_of
from hf_robust.metrics import AttackRecord, ConfidenceSequence, judged_by
from hf_robust.runs import Ranks, balanced_shares

if TYPE_CHECKING:
    from hf_robust.attacks.engine.classifier import Classifier


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
    until: ConfidenceSequence | None = None,
) -> tuple[list[AttackRecord], float]:
    """Return the records of the examples, sorted by ``idx``, and the seconds of the slowest rank; equal on all ranks.

    Each rank attacks a share with about equal expected queries. An interrupted attack can resume on any number of
    ranks.

    Args:
        key: ``attack_key``, which names the journal.
        journals: folder of the journals; None for no journal.
        check_candidates: whether to raise if no example has a candidate; False for a part of the data.
        replayed: by ``idx``, texts to score first.
        queries: the file of this rank to which every scored text is added.
        until: the sequence at whose interval the attack stops; the records are then those of the first examples in
            a random order. Where it stops depends on the results alone: the ranks gather theirs before each look.
    """
    until = sequence_of(attack, until)
    if check_candidates:
        # Checks all examples, so that every rank gets the same answer.
        require_candidates(attack, plans, examples, victim)
    start, records, slowest = time.perf_counter(), list[AttackRecord](), 0.0
    # An attack that stops shares no journal with one of all rows, whose seconds are those of all rows.
    name = key if until is None else f"{key}-until"
    journal = None if journals is None else share_path(journals, name, ranks.rank, ranks.number)
    for part in parts_until(examples, until, attack.seed):
        mine = attack_dataset(
            attack,
            victim,
            balanced_shares(part, ranks.number)[ranks.rank],
            plans=plans,
            journal=journal,
            progress=progress,
            check_candidates=False,
            replayed=replayed,
            queries=queries,
        )
        # Seconds from the journal: the duration of the measurement, also after it was read back from the file.
        seconds = time.perf_counter() - start if journal is None else journal_seconds(journal)
        shares = ranks.gather((mine, seconds))
        records += [record for share_records, _ in shares for record in share_records]
        slowest = max(seconds for _, seconds in shares)
        if until is not None and until.is_reached(*judged_by(records)):
            break
    return sorted(records, key=lambda record: record.idx), slowest
