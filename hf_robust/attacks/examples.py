"""Which rows of a split are attacked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hf_robust.attacks.attack import Example


def choose_examples(dataset: Any, count: int, seed: int) -> list[Example]:
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
