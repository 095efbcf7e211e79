"""Chooses the examples to attack and distributes them over processes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
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


def balanced_shares(
    examples: Sequence[Example], ranks: int, cost: Callable[[Example], float] | None = None
) -> list[list[Example]]:
    """Split the examples into one share per rank with about equal expected queries; shares keep the examples' order.

    Examples are dealt by falling cost, back and forth over the ranks. So the costs of two shares differ by at most the
    cost of the most expensive example, and their sizes by at most one. Every rank computes the same shares.

    Args:
        cost: expected queries of an example, 0 or more; None for its number of words, since every search that tries
            each word takes queries in proportion to it.
    """
    costs = [number_of_words(example) if cost is None else cost(example) for example in examples]
    order = sorted(range(len(examples)), key=lambda place: (-costs[place], place))
    chosen: list[list[int]] = [[] for _ in range(ranks)]
    for turn, place in enumerate(order):
        lap, step = divmod(turn, ranks)
        chosen[step if lap % 2 == 0 else ranks - 1 - step].append(place)
    return [[examples[place] for place in sorted(places)] for places in chosen]


def number_of_words(example: Example) -> int:
    """Number of words, separated by white space, in all text columns."""
    return sum(len(column.split()) for column in example.texts)
