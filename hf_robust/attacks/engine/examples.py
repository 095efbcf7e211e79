"""Which rows of a split are attacked, and by which process."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from hf_robust.attacks.attack import Example


def choose_examples(dataset: Any, count: int, seed: int | str) -> list[Example]:
    """``count`` rows of a labelled ``hf_robust.data.TextDataset`` drawn by ``seed``; all of them for 0 or fewer.

    The same rows in every epoch and in every run with this seed, whatever the method; ``idx`` is the row's number.

    Raises:
        ValueError: there is no data set.
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
    """One share of the examples for each rank, of about the same expected queries and in the order they came in.

    The examples are dealt from the dearest down, forth and back over the ranks. So no two shares differ in cost by
    more than the dearest example, nor in number by more than one. Every rank computes the same shares.

    Args:
        cost: expected queries of an example, 0 or more; None for its number of words, with which they grow in every
            search that tries each word.
    """
    costs = [number_of_words(example) if cost is None else cost(example) for example in examples]
    order = sorted(range(len(examples)), key=lambda place: (-costs[place], place))
    chosen: list[list[int]] = [[] for _ in range(ranks)]
    for turn, place in enumerate(order):
        lap, step = divmod(turn, ranks)
        chosen[step if lap % 2 == 0 else ranks - 1 - step].append(place)
    return [[examples[place] for place in sorted(places)] for places in chosen]


def number_of_words(example: Example) -> int:
    """Words between spaces, over all text columns."""
    return sum(len(column.split()) for column in example.texts)
