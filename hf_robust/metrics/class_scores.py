"""Precision, recall and F1 of each class, and macro-F1, from three counts of each class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hf_robust.metrics.rates import ratio


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of one class; nan for a denominator of 0."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ClassCounts:
    """Counts of K classes by class id: rows with this label, rows with this prediction, and rows with both.

    >>> counts = ClassCounts.of(labels=[0, 1, 1], predictions=[0, 0, 1], num_classes=2)
    >>> counts.scores[0]
    ClassScores(precision=0.5, recall=1.0, f1=0.6666666666666666)
    >>> counts.macro_f1
    0.6666666666666666
    """

    labels: tuple[int, ...]
    predictions: tuple[int, ...]
    correct: tuple[int, ...]

    @classmethod
    def of(cls, labels: Sequence[int], predictions: Sequence[int], num_classes: int = 0) -> ClassCounts:
        """Count rows; ``num_classes`` if there are more classes than occur in them."""
        pairs = [(int(label), int(prediction)) for label, prediction in zip(labels, predictions, strict=True)]
        size = max([num_classes, *(1 + value for pair in pairs for value in pair)])
        counts = [[0] * size for _ in range(3)]
        for label, prediction in pairs:
            counts[0][label] += 1
            counts[1][prediction] += 1
            counts[2][label] += label == prediction
        return cls(*map(tuple, counts))

    @property
    def num_examples(self) -> int:
        return sum(self.labels)

    @property
    def scores(self) -> dict[int, ClassScores]:
        """Precision, recall and F1 by class id."""
        return {
            label: ClassScores(ratio(hits, predicted), ratio(hits, present), ratio(2 * hits, predicted + present))
            for label, (present, predicted, hits) in enumerate(
                zip(self.labels, self.predictions, self.correct, strict=True)
            )
        }

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur among labels or predictions, as in scikit-learn; nan without rows."""
        known = [one.f1 for one in self.scores.values() if not math.isnan(one.f1)]
        return ratio(sum(known), len(known))

    def to_json(self) -> dict[str, list[int]]:
        """The counts by name."""
        return {name: list(counts) for name, counts in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Any) -> ClassCounts:
        """The inverse of ``to_json``.

        Raises:
            ValueError: a count is missing or is not a number of rows, or there are not as many of each kind.
        """
        columns: list[tuple[int, ...]] = []
        for name in ("labels", "predictions", "correct"):
            column = data.get(name) if isinstance(data, Mapping) else None
            if not isinstance(column, list) or not all(type(number) is int and number >= 0 for number in column):
                raise ValueError(f"the counts of the classes need a list of numbers of {name}, got {data!r:.200}.")
            columns.append(tuple(column))
        if len({len(column) for column in columns}) > 1:
            raise ValueError(f"the counts of the classes differ in their number of classes: {data!r:.200}.")
        return cls(*columns)


def class_scores(predictions: Sequence[int], labels: Sequence[int], classes: Sequence[int]) -> dict[int, ClassScores]:
    """Precision, recall and F1 of some classes.

    >>> class_scores([0, 0, 1], [0, 1, 1], [0])
    {0: ClassScores(precision=0.5, recall=1.0, f1=0.6666666666666666)}
    """
    scores = ClassCounts.of(labels, predictions, 1 + max(classes, default=-1)).scores
    return {label: scores[label] for label in classes}
