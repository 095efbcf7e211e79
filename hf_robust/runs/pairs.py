"""Pairs of a clean and an adversarial text from the records of an attack.

Attack records and certificates on disk: one JSON object a line.

How each example of each attack ended, one letter each: what is kept of a run where texts would be too large.

``statuses.json`` holds ``{attack: {idx: letter}}`` for the run's last measured epoch. ``idx`` is that of the records,
as text; letters are ``s`` succeeded, ``f`` failed (the model was right and withstood), ``-`` skipped.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from hf_robust.metrics import AttackRecord, Certificate
from hf_robust.runs.files import STATUSES_FILE
from hf_robust.runs.json_files import read_json_lines, write_json_lines

STATUS_LETTERS = {"succeeded": "s", "failed": "f", "skipped": "-"}


def status_letters(records: Iterable[AttackRecord]) -> dict[str, str]:
    """What the file holds of one attack."""
    return {str(record.idx): STATUS_LETTERS[record.status] for record in records}


def read_statuses(path: str | os.PathLike[str]) -> dict[str, dict[int, str]]:
    """The statuses by attack and idx, in the order of idx; a run folder may be given in place of the file.

    Raises:
        ValueError: there is no such file, or it does not hold letters by attack and idx.
    """
    file = Path(path) / STATUSES_FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise ValueError(f"{file} does not exist; give a folder with a {STATUSES_FILE}.")
    names = {letter: status for status, letter in STATUS_LETTERS.items()}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {
            attack: {idx: names[kept[str(idx)]] for idx in sorted(map(int, kept))} for attack, kept in found.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{file} must map each attack to one of {', '.join(names)} for each example's idx; delete it or run again."
        ) from None


def read_records(path: str | os.PathLike[str], warn: bool = True) -> list[AttackRecord]:
    """The records of a JSON lines file, in file order; lines of a journal that hold no record are passed over.

    Args:
        warn: log a last line that was cut off.

    Raises:
        ValueError: a line other than a torn last one is not a record.
    """
    return [AttackRecord.from_json(line) for line in read_json_lines(path, warn) if "idx" in line]


def write_records(path: str | os.PathLike[str], records: Iterable[AttackRecord]) -> None:
    """Write records as JSON lines, all or nothing: the file appears only when it is complete."""
    write_json_lines(path, (record.to_json() for record in records))


def read_certificates(path: str | os.PathLike[str]) -> list[Certificate]:
    """The certificates of a JSON lines file, in file order; lines of a journal that hold none are passed over.

    Raises:
        ValueError: a line other than a torn last one is not a certificate.
    """
    return [Certificate.from_json(line) for line in read_json_lines(path) if "idx" in line]


def write_certificates(path: str | os.PathLike[str], certificates: Iterable[Certificate]) -> None:
    """Write certificates as JSON lines, all or nothing: the file appears only when it is complete."""
    write_json_lines(path, (certificate.to_json() for certificate in certificates))


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
