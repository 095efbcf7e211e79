"""Sets of labels as numbers, so that a text with several labels has one label and one prediction, as others have.

The number of a set is the sum of ``2 ** k`` over its label ids k: 0 is no label, 5 is the labels 0 and 2. Two sets are
equal exactly if their numbers are, so that success rates and robust accuracy are those of the whole set (exact match).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_LABELS = 62
"""So that a number fits into 64 bits."""


def set_numbers(present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The numbers [n] of sets [n, K], which are True where a label is present.

    >>> set_numbers(np.array([[True, False, True], [False, False, False]])).tolist()
    [5, 0]
    """
    return np.asarray(present.astype(np.int64) @ (1 << np.arange(present.shape[-1], dtype=np.int64)))


def label_number(label: Any) -> int:
    """The number of a row's label: the number of the set for a list of one 0 or 1 for each label, else the class id.

    >>> label_number([1.0, 0.0, 1.0]), label_number(3)
    (5, 3)
    """
    if isinstance(label, (list, tuple)):
        return sum(1 << index for index, value in enumerate(label) if value)
    return int(label)


def labels_of(number: int, num_labels: int) -> NDArray[np.bool_]:
    """The set [K] of a number, True where a label is present."""
    return np.asarray((number >> np.arange(num_labels, dtype=np.int64)) & 1, dtype=bool)


class SetNames(Mapping[int, str]):
    """The names of the sets of some labels, by number.

    >>> SetNames(["joy", "anger", "love"])[5]
    'joy + love'
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self):
            raise KeyError(number)
        return " + ".join(name for index, name in enumerate(self._names) if number >> index & 1) or "no label"

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return int(2 ** len(self._names))
