"""What an attack did to one example, and its form on disk: one JSON object a line."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

STATUSES = ("succeeded", "failed", "skipped")


@dataclass
class AttackRecord:
    """The result of one attack on one example.

    ``status`` is ``skipped`` where the attack was not tried (the clean text is misclassified, or its label is one the
    attack leaves out), ``succeeded`` where the goal was reached, else ``failed``; then ``perturbed`` is the last text
    that improved the goal's score. ``stop`` says why the search ended: ``success``, ``exhausted``, ``budget``,
    ``no_candidates``, ``misclassified`` or ``skip_label``.

    ``changed`` holds ``[word index in the original, old, new]``; ``new`` is empty for a deleted word and may be two
    words for an inserted one. ``queries`` counts every text shown to the goal, the clean one included; scores are the
    probability of the true label. ``num_candidates`` counts the admissible substitutes over all positions. ``remains``
    belongs to attacks that want the prediction to stay (antonym, negation, input_reduction): whether some admissible
    candidate kept it; None for the others, so that a file of records says what its attack wanted. ``near_ties`` counts
    decisions taken between scores closer than the noise of batching. ``saturated`` counts the queries at which the
    probability was within sixteen steps of float32 from 1, so that the search could hardly see whether a text helped;
    None where searches climb margins, which are never flat so, in older files, and of a vote.
    """

    idx: int
    label: int
    status: str
    original: list[str]
    perturbed: list[str]
    changed: list[list[Any]]
    queries: int
    original_prediction: int
    perturbed_prediction: int
    original_score: float
    perturbed_score: float
    stop: str
    num_candidates: int
    remains: bool | None = None
    near_ties: int = 0
    saturated: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as a dict that ``json.dumps`` takes."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AttackRecord:
        """The inverse of ``to_json``; unknown keys are ignored, so that newer files can be read.

        Raises:
            ValueError: a required key is missing or the status is not one of STATUSES.
        """
        fields = dataclasses.fields(cls)
        missing = [f.name for f in fields if f.default is dataclasses.MISSING and f.name not in data]
        if missing:
            raise ValueError(f"an attack record needs the keys {', '.join(missing)}, which {dict(data)!r:.200} lacks.")
        if data["status"] not in STATUSES:
            raise ValueError(f"a record's status must be one of {', '.join(STATUSES)}, got {data['status']!r}.")
        return cls(**{f.name: data[f.name] for f in fields if f.name in data})


def read_json_lines(path: str | os.PathLike[str], warn: bool = True) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; a last line that was cut off while being written is left out.

    Args:
        warn: log such a line; False for a file that another process may be writing.

    Raises:
        ValueError: another line is not a JSON object.
    """
    lines = Path(path).read_bytes().split(b"\n")
    last = max((number for number, line in enumerate(lines) if line.strip()), default=-1)
    found = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            if number == last:
                level = logging.WARNING if warn else logging.DEBUG
                logger.log(level, "%s: the last line was cut off while being written; it is left out.", path)
                continue
            raise ValueError(
                f"{path}, line {number + 1} is not JSON ({error}); delete the file to measure again."
            ) from error
        if not isinstance(value, dict):
            raise ValueError(f"{path}, line {number + 1} must be a JSON object, got {type(value).__name__}.")
        found.append(value)
    return found


def read_records(path: str | os.PathLike[str]) -> list[AttackRecord]:
    """The records of a JSON lines file, in file order; lines of a journal that hold no record are passed over.

    Raises:
        ValueError: a line other than a torn last one is not a record.
    """
    return [AttackRecord.from_json(line) for line in read_json_lines(path) if "idx" in line]


def write_records(path: str | os.PathLike[str], records: Iterable[AttackRecord]) -> None:
    """Write records as JSON lines, all or nothing: the file appears only when it is complete."""
    write_json_lines(path, (record.to_json() for record in records))


def write_json_lines(path: str | os.PathLike[str], lines: Iterable[Mapping[str, Any]]) -> None:
    """Write objects, one a line; the file appears only when it is complete."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    partial.replace(target)
