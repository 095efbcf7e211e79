"""How each example of each attack ended, one letter each: what is kept of a run where texts would be too large.

``statuses.json`` holds ``{attack: {idx: letter}}`` for the run's last measured epoch. ``idx`` is that of the records,
as text; letters are ``s`` succeeded, ``f`` failed (the model was right and withstood), ``-`` skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from hf_robust.metrics import AttackRecord
from hf_robust.runs.files import STATUSES_FILE

STATUS_LETTERS = {"succeeded": "s", "failed": "f", "skipped": "-"}


def letters(records: Iterable[AttackRecord]) -> dict[str, str]:
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
