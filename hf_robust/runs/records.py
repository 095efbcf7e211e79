"""Attack records and certificates on disk: one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Iterable

from hf_robust.metrics import AttackRecord, Certificate
from hf_robust.runs.json_files import read_json_lines, write_json_lines


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
