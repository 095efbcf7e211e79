"""Rows in memory as a corpus: a data set of `datasets`, a pandas table, or a list."""

from __future__ import annotations

from typing import Any

from hf_robust.data.load import Corpus
from hf_robust.data.rows import declared_names, rows_of

_COLUMNS = {2: ("text",), 3: ("sentence1", "sentence2")}


def corpus_of(rows: Any, label_column: str | None = None) -> Corpus:
    """Return a corpus whose validation split are these rows.

    Args:
        rows: see ``hf_robust.attack``.
        label_column: column of the labels; None for "label".

    Raises:
        ValueError: the rows are none of those kinds, or there are none.
    """
    label = label_column or "label"
    listed = isinstance(rows, (list, tuple))
    mappings = rows_of([_named(row, label) for row in rows] if listed else rows, "the rows")
    if not mappings:
        raise ValueError("there are no rows to attack: give at least one.")
    return Corpus(
        "rows in memory",
        {"validation": [row if isinstance(row, dict) else dict(row) for row in mappings]},
        {"validation": "rows in memory"},
        {"validation": "validation"},
        declared_names(rows, label),
        label,
        ["validation"],
    )


def _named(row: Any, label: str) -> Any:
    """A (text, label) or (text, second text, label) as a dict; any other row as it is."""
    if not isinstance(row, (tuple, list)):
        return row
    if len(row) not in _COLUMNS:
        raise ValueError(
            f"a row must be a dict of its columns, (text, label) or (text, second text, label); got {len(row)} values."
        )
    return dict(zip((*_COLUMNS[len(row)], label), row, strict=True))
