"""Chooses the examples to attack."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hf_robust.attacks.attack import Example
from hf_robust.metrics.label_sets import label_number


def choose_examples(
    dataset: Any,
    count: int,
    seed: int | str,
    *,
    text_columns: str | Sequence[str] | None = None,
    label_column: str = "label",
    class_names: Sequence[str] | None = None,
) -> list[Example]:
    """Draw ``count`` labelled rows; 0 or fewer for all rows.

    The rows depend on ``seed`` alone, so they are the same in every epoch and for every method. ``idx`` is the row
    number.

    Args:
        dataset: a ``hf_robust.data.TextDataset``, or, with ``text_columns``, a list of dicts, a ``datasets.Dataset``
            or a ``pandas.DataFrame``.
        text_columns, label_column, class_names: as in ``TextDataset``, which knows its own.

    Raises:
        ValueError: there is no dataset, it needs ``text_columns``, or a row has no text or no class.
    """
    if dataset is None:
        raise ValueError("--attacks needs rows to attack: add --do_eval.")
    if hasattr(dataset, "texts"):
        return [
            Example(row, dataset.texts(row), label_number(dataset.label(row)))
            for row in _drawn(len(dataset), count, seed)
        ]
    if text_columns is None:
        raise ValueError(
            f"a {type(dataset).__name__} does not say which columns to attack: pass text_columns=[...], or a "
            "hf_robust.data.TextDataset."
        )
    from hf_robust.data.rows import read_text_rows  # imports torch

    texts, labels, _ = read_text_rows(dataset, text_columns, label_column, class_names)
    assert labels is not None
    return [Example(row, texts[row], label_number(labels[row])) for row in _drawn(len(texts), count, seed)]


def _drawn(size: int, count: int, seed: int | str) -> Sequence[int]:
    return sorted(random.Random(seed).sample(range(size), count)) if 0 < count < size else range(size)
