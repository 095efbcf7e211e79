"""Runs one attack on all ranks: each rank attacks a share of the examples and receives all records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.attacks.attack import AttackOrForeign, Example
from hf_robust.attacks.cascade import AttackOne, Cascade
from hf_robust.attacks.engine.coverage import require_candidates
from hf_robust.attacks.engine.journal import journal_seconds, share_path
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.requests import Columns
from hf_robust.attacks.engine.scheduler import attack_dataset
from hf_robust.attacks.engine.until import parts_until, sequence_of
from hf_robust.metrics import AttackRecord, ConfidenceSequence, judged_by
from hf_robust.runs import FileList, Ranks, balanced_shares

if TYPE_CHECKING:
    from hf_robust.attacks.engine.classifier import Classifier


class Measured(NamedTuple):
    """The records of all examples, sorted by ``idx``, and the seconds of the slowest rank.

    ``by_member`` has the seconds of each attack of a cascade that met an example.
    """

    records: Sequence[AttackRecord]
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
    until: ConfidenceSequence | None = None,
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
        until: the sequence at whose interval the attack stops; the records are then those of the first examples in
            a random order. Where it stops depends on the results alone: the ranks gather theirs before each look.
    """
    if check_candidates:
        # Checks all examples, so that every rank gets the same answer.
        require_candidates(attack, plans, examples, victim)
    members = attack.members if isinstance(attack, Cascade) else (attack,)
    keys = dict(zip([member.name for member in members], journal_keys(attack, key, until), strict=True))
    options = {"plans": plans, "progress": progress, "replayed": replayed, "queries": queries}
    attack_one = partial(_attack_share, victim, keys, journals, ranks, options)
    until = sequence_of(attack, until)
    records, seconds = FileList[AttackRecord](), dict[str, float]()
    with victim.answers.kept(isinstance(attack, Cascade)):
        for part in parts_until(examples, until, attack.seed):
            of_part, spent = (
                attack.run(part, attack_one) if isinstance(attack, Cascade) else _alone(attack, part, attack_one)
            )
            records.extend(of_part)
            # The seconds of a journal are those since its first line.
            earlier = seconds if journals is None else {}
            seconds |= {name: earlier.get(name, 0.0) + value for name, value in spent.items()}
            if until is not None and until.is_reached(*judged_by(records)):
                break
    by_member = seconds if isinstance(attack, Cascade) else {}
    records.sort(key=lambda record: record.idx)
    return Measured(records, sum(seconds.values()), by_member)


def journal_keys(attack: AttackOrForeign, key: str, until: ConfidenceSequence | None = None) -> list[str]:
    """Names of the journals of an attack: its key, or for a cascade that of each of its attacks.

    An attack that stops at an interval shares no journal with one of all rows, whose seconds are those of all rows.
    """
    name = key if sequence_of(attack, until) is None else f"{key}-until"
    return [f"{name}-{member.name}" for member in attack.members] if isinstance(attack, Cascade) else [name]


def _alone(
    attack: AttackOrForeign, examples: Sequence[Example], attack_one: AttackOne
) -> tuple[Sequence[AttackRecord], dict[str, float]]:
    """Run an attack that is no cascade."""
    records, seconds = attack_one(attack, examples)
    return records, {attack.name: seconds}


def _attack_share(
    victim: Classifier,
    keys: Mapping[str, str],
    journals: Path | None,
    ranks: Ranks,
    options: Mapping[str, Any],
    attack: AttackOrForeign,
    examples: Sequence[Example],
) -> tuple[Sequence[AttackRecord], float]:
    """The records of all ranks, sorted by ``idx``, and the seconds of the slowest rank; each attacks a share.

    ``keys`` are the names of the journals by attack.
    """
    start = time.perf_counter()
    journal = None if journals is None else share_path(journals, keys[attack.name], ranks.rank, ranks.number)
    share = balanced_shares(examples, ranks.number)[ranks.rank]
    mine = attack_dataset(attack, victim, share, journal=journal, check_candidates=False, **options)
    # Seconds from the journal: the duration of the measurement, also after it was read back from the file.
    seconds = time.perf_counter() - start if journal is None else journal_seconds(journal)
    seconds = max(ranks.gather(seconds))
    if ranks.number == 1:
        return mine, seconds
    records = FileList(ranks.gather_items(mine))
    records.sort(key=lambda record: record.idx)
    return records, seconds
