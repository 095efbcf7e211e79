"""Rows whose attack failed: which text, if any, stands for the adversarial one that was not found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.attacks import Example
from hf_robust.views.generated import Made
from hf_robust.views.view import View
from hf_robust.words import Text

DROP, CLEAN, LAST = FAILED_VIEWS = ("drop", "clean", "last")
"""The row has no view, its own text, or the text where the search ended (its own where none began)."""


def of_file(made: Made, header: Mapping[str, Any], wanted: str, examples: Sequence[Example], path: str | Path) -> Made:
    """The views of a file with the rows whose attack failed as ``wanted``, one of :data:`FAILED_VIEWS`.

    Args:
        header: of the file; it says which of these the file holds.
        examples: all rows that the file is of.
        path: for the error.

    Raises:
        ValueError: the file does not say which rows those are, or where their searches ended.
    """
    held = str((header.get("how") or {}).get("failed_views", DROP))
    if wanted == held:
        return made
    found = [(row, view) for row, view in made if not view.failed]
    failed = {row for row, view in made if view.failed}
    if wanted == CLEAN and held == DROP and made.attempts == len(examples):
        failed = {one.idx for one in examples} - {row for row, _ in made}
    elif wanted == LAST or (wanted == CLEAN and held == DROP):
        lacks = "where their searches ended" if wanted == LAST else "which rows were attacked"
        raise ValueError(
            f"--failed_views {wanted} wants a text for each row whose attack failed, and {path} was made with "
            f"--failed_views {held} and does not say {lacks}; give --failed_views {held}, or let the attacks make the "
            "views."
        )
    if wanted == CLEAN:
        texts = {one.idx: one.texts for one in examples}
        found += [(row, View(Text(texts[row]), True, (), failed=True)) for row in sorted(failed)]
    chosen = Made(found)
    chosen.attempts, chosen.notes = made.attempts, made.notes
    return chosen
