"""Files with one entry per example: attack records and certificates (JSON lines), and statuses (``statuses.json``).

``statuses.json`` holds ``{attack: {idx: letter}}`` for the published weights (`Run.published`), where the records with
their texts would be too large. ``idx`` is that of the records, as text; letters are ``s`` succeeded, ``f`` failed (the
model is correct and withstood the attack), ``-`` skipped.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hf_robust.metrics import AttackRecord, Certificate
from hf_robust.runs.files import STATUSES_FILE
from hf_robust.runs.json_files import each_json_line, read_json_lines, write_json_lines

STATUS_LETTERS = {"succeeded": "s", "failed": "f", "skipped": "-"}


def status_letters(records: Iterable[AttackRecord]) -> dict[str, str]:
    """The entry of one attack in ``statuses.json``."""
    return {str(record.idx): STATUS_LETTERS[record.status] for record in records}


def read_statuses(path: str | os.PathLike[str]) -> dict[str, dict[int, str]]:
    """Read the statuses by attack and idx, in the order of idx, from the file or its run folder.

    Raises:
        ValueError: there is no such file, or it does not hold letters by attack and idx.
    """
    file = Path(path) / STATUSES_FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise ValueError(f"{file} does not exist; give a folder with a {STATUSES_FILE}.")
    names = {letter: status for status, letter in STATUS_LETTERS.items()}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {
            attack: {idx: names[by_idx[str(idx)]] for idx in sorted(map(int, by_idx))}
            for attack, by_idx in content.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{file} must map each attack to one of {', '.join(names)} for each example's idx; delete it or run again."
        ) from None


def read_records(path: str | os.PathLike[str], warn: bool = True) -> list[AttackRecord]:
    """Read the attack records of a JSON lines file in file order; see ``each_record``."""
    return list(each_record(path, warn))


def each_record(path: str | os.PathLike[str], warn: bool = True) -> Iterator[AttackRecord]:
    """Read the attack records of a JSON lines file one at a time; other lines of a journal are skipped.

    Args:
        warn: log an incomplete last line.

    Raises:
        ValueError: a line other than an incomplete last one is not a record.
    """
    return (AttackRecord.from_json(line) for line in each_json_line(path, warn) if "idx" in line)


def write_records(path: str | os.PathLike[str], records: Iterable[AttackRecord]) -> None:
    """Write attack records as JSON lines, atomically."""
    write_json_lines(path, (record.to_json() for record in records))


def read_certificates(path: str | os.PathLike[str]) -> list[Certificate]:
    """Read the certificates of a JSON lines file in file order; other lines of a journal are skipped.

    Raises:
        ValueError: a line other than an incomplete last one is not a certificate.
    """
    return [Certificate.from_json(line) for line in read_json_lines(path) if "idx" in line]


def write_certificates(path: str | os.PathLike[str], certificates: Iterable[Certificate]) -> None:
    """Write certificates as JSON lines, atomically."""
    write_json_lines(path, (certificate.to_json() for certificate in certificates))


def read_pairs(
    path: str | os.PathLike[str],
    statuses: Sequence[str] = ("succeeded",),
    *,
    changed_only: bool = True,
    limit: int = 0,
    seed: int = 0,
) -> list[AttackRecord]:
    """Records of an ``attack_results/<attack>.jsonl`` as pairs of an original and a perturbed text, in file order.

    Args:
        statuses: statuses of the records to return. The last text of a failed attack keeps the prediction.
        changed_only: leave out records without a changed text.
        limit: number of records to draw by ``seed``; 0 for all.

    Raises:
        ValueError: there is no such file or pair, an ``idx`` occurs twice, or single texts and text pairs are mixed.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} is not a file; give an attack_results/<attack>.jsonl of a run.")
    records = read_records(path)
    pairs = [record for record in records if record.status in statuses]
    if changed_only:
        pairs = [record for record in pairs if record.original != record.perturbed]
    if not pairs:
        raise ValueError(
            f"{path} holds no pair of texts: none of its {len(records)} examples {' or '.join(statuses)}"
            f"{' with a changed text' if changed_only else ''}; give the results of an attack that changed texts."
        )
    if len({record.idx for record in pairs}) < len(pairs):
        raise ValueError(f"{path} holds an example twice; give the results of one attack on one data set.")
    if len({len(texts) for record in pairs for texts in (record.original, record.perturbed)}) > 1:
        raise ValueError(f"{path} mixes single texts and text pairs; give the results of one attack.")
    if 0 < limit < len(pairs):
        rows = sorted(random.Random(seed).sample(range(len(pairs)), limit))
        pairs = [pairs[row] for row in rows]
    return pairs
