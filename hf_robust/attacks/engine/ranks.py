"""Runs one attack on all ranks: each rank attacks a share of the examples and receives all records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from accelerate.utils import gather_object

from hf_robust.attacks.attack import AttackOrForeign, Example
from hf_robust.attacks.engine.coverage import require_candidates
from hf_robust.attacks.engine.examples import balanced_shares
from hf_robust.attacks.engine.journal import attack_key, journal_seconds, prediction_of, share_path
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.requests import Columns
from hf_robust.attacks.engine.scheduler import attack_dataset
from hf_robust.attacks.engine.victim import Victim
from hf_robust.metrics import AttackRecord


def attack_on_ranks(
    attack: AttackOrForeign,
    victim: Victim,
    examples: Sequence[Example],
    weights: str,
    *,
    journals: Path,
    rank: int,
    ranks: int,
    plans: Plans,
    progress: bool,
    check_candidates: bool = True,
    replayed: Mapping[int, Columns] | None = None,
) -> tuple[list[AttackRecord], float]:
    """Return the records of all examples, sorted by ``idx``, and the seconds of the slowest rank; equal on all ranks.

    Each rank attacks a share with about equal expected queries. Its journal is named by a hash of the weights, the
    attack and the data, so that an interrupted attack can resume on any number of ranks.

    Args:
        weights: ``weights_hash`` of the victim's model.
        journals: folder of the journals.
        check_candidates: whether to raise if no example has a candidate; False for a part of the data.
        replayed: by ``idx``, texts to score first.
    """
    if check_candidates:
        # Checks all examples, so that every rank gets the same answer.
        require_candidates(attack, plans, examples, victim)
    key = attack_key(attack, weights, examples, victim.max_length, prediction_of(victim), replayed)
    journal = share_path(journals, key, rank, ranks)
    mine = attack_dataset(
        attack,
        victim,
        balanced_shares(examples, ranks)[rank],
        plans=plans,
        journal=journal,
        progress=progress,
        check_candidates=False,
        replayed=replayed,
    )
    # Seconds from the journal: the duration of the measurement, also after it was read back from the file.
    shares = gather_object([([record.to_json() for record in mine], journal_seconds(journal))])
    records = [AttackRecord.from_json(record) for share_records, _ in shares for record in share_records]
    return sorted(records, key=lambda record: record.idx), max(seconds for _, seconds in shares)
