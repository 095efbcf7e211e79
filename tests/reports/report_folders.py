"""Hand-made run folders with attack records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from run_folders import make_run

from hf_robust.metrics import AttackRecord
from hf_robust.runs import write_records

STATUS = {"s": "succeeded", "f": "failed", "-": "skipped"}


def record(idx: int, letter: str, text: str = "a good film", new: str = "a fine film", label: int = 1) -> AttackRecord:
    """Record of one example: correct before unless skipped, fooled if the attack succeeded."""
    status = STATUS[letter]
    before = 1 - label if letter == "-" else label
    after = 1 - label if letter == "s" else before
    perturbed = text if letter == "-" else new
    changed = [] if letter == "-" else [[1, "good", "fine"]]
    return AttackRecord(idx, label, status, [text], [perturbed], changed, 5, before, after, 0.9, 0.2, "success", 3)


def run_with_records(folder: Path, letters: str, *, epochs: int = 1, records: Any = None, **card: Any) -> Path:
    """A run under the attack ``synonym``, from one letter for each example of the last epoch (s, f, -)."""
    counts = (letters.count("s"), letters.count("f"))
    make_run(folder, [counts] * epochs, **card)
    found = [record(idx, letter) for idx, letter in enumerate(letters)] if records is None else records
    write_records(folder / "attack_results" / f"epoch-{epochs}" / "synonym.jsonl", found)
    return folder


def run_with_statuses(folder: Path, letters: str, **card: Any) -> Path:
    """A run under the attack ``synonym`` with ``statuses.json`` alone."""
    make_run(folder, [(letters.count("s"), letters.count("f"))], **card)
    kept = {str(idx): letter for idx, letter in enumerate(letters)}
    (folder / "statuses.json").write_text(json.dumps({"synonym": kept}))
    return folder
