"""Rows in memory as a corpus: a data set of `datasets`, a pandas table, or a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_robust.data.load import Corpus

_NEEDED = (
    "rows must be a datasets.Dataset, a pandas DataFrame, a list of mappings, a list of (text, label) or (text, "
    "second text, label), or a string that --data takes"
)


def corpus_of(rows: Any, label_column: str | None = None) -> Corpus:
    """Return a corpus whose validation split are these rows.

    Args:
        rows: see ``hf_robust.attack``.
        label_column: column of the labels; None for "label".

    Raises:
        ValueError: the rows are none of the kinds above.
    """
    label = label_column or "label"
    feature = (getattr(rows, "features", None) or {}).get(label)
    names = tuple(getattr(feature, "names", None) or ())
    listed = rows.to_dict("records") if hasattr(rows, "iloc") else rows
    if isinstance(listed, (str, Mapping)) or not hasattr(listed, "__iter__"):
        raise ValueError(f"{_NEEDED}; got a {type(rows).__name__}.")
    mappings = [_mapping(row, label) for row in listed]
    if not mappings:
        raise ValueError("there are no rows to attack: give at least one.")
    return Corpus(
        "rows in memory",
        {"validation": mappings},
        {"validation": "rows in memory"},
        {"validation": "validation"},
        names,
        label,
        ["validation"],
    )


def _mapping(row: Any, label: str) -> dict[str, Any]:
    if isinstance(row, Mapping):
        return dict(row)
    columns = {2: ("text",), 3: ("sentence1", "sentence2")}
    if isinstance(row, (tuple, list)) and len(row) in columns:
        return dict(zip((*columns[len(row)], label), row, strict=True))
    raise ValueError(f"{_NEEDED}; got a row that is a {type(row).__name__}.")
