"""Pairs of a clean and an adversarial text from the records of an attack."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

from hf_robust.metrics import AttackRecord
from hf_robust.runs.records import read_records


def read_pairs(
    path: str | os.PathLike[str],
    statuses: Sequence[str] = ("succeeded",),
    *,
    changed_only: bool = True,
    limit: int = 0,
    seed: int = 0,
) -> list[AttackRecord]:
    """Records of an ``attack_results/<attack>.jsonl`` as pairs of texts, in file order.

    Args:
        statuses: of them those that ended so. A failed attack's last text keeps its prediction.
        changed_only: leave out texts that the attack left as they are.
        limit: draw this many by ``seed`` where there are more; 0 for all.

    Raises:
        ValueError: there is no such file or pair, an ``idx`` occurs twice, or single texts and text pairs are mixed.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} is no file; give an attack_results/<attack>.jsonl of a run.")
    found = read_records(path)
    kept = [record for record in found if record.status in statuses]
    if changed_only:
        kept = [record for record in kept if record.original != record.perturbed]
    if not kept:
        raise ValueError(
            f"{path} holds no pair of texts: of its {len(found)} examples none {' or '.join(statuses)}"
            f"{' with a changed text' if changed_only else ''}; give the results of an attack that changed some."
        )
    if len({record.idx for record in kept}) < len(kept):
        raise ValueError(f"{path} holds an example twice; give the results of one attack on one data set.")
    if len({len(texts) for record in kept for texts in (record.original, record.perturbed)}) > 1:
        raise ValueError(f"{path} mixes single texts and pairs; give the results of one attack.")
    if 0 < limit < len(kept):
        rows = sorted(random.Random(seed).sample(range(len(kept)), limit))
        kept = [kept[row] for row in rows]
    return kept
