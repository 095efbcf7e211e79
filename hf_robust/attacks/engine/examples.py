"""Chooses the examples to attack and distributes them over processes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from hf_robust.attacks.attack import Example


def choose_examples(dataset: Any, count: int, seed: int | str) -> list[Example]:
    """Draw ``count`` rows of a labelled ``hf_robust.data.TextDataset``; 0 or fewer for all rows.

    The rows depend on ``seed`` alone, so they are the same in every epoch and for every method. ``idx`` is the row
    number.

    Raises:
        ValueError: there is no dataset.
    """
    if dataset is None:
        raise ValueError("--attacks needs rows to attack: add --do_eval.")
    rows: Sequence[int] = range(len(dataset))
    if 0 < count < len(rows):
        rows = sorted(random.Random(seed).sample(rows, count))
    return [Example(row, dataset.texts(row), int(dataset.label(row))) for row in rows]


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
