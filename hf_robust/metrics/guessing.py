"""Is a classifier better than guessing? If not, attack rates say nothing about its robustness."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hf_robust.metrics.rates import wilson_interval

LEAST_LEARNT = 0.2
"""A model has learnt little if its accuracy is less than this share of the way from guessing the most frequent class
to no error."""


def least_accuracy(larger_class: float) -> float:
    """Accuracy below which other rates say nothing: 0.6 for two equally frequent classes."""
    return larger_class + LEAST_LEARNT * (1 - larger_class)


@dataclass(frozen=True)
class Guessing:
    """Accuracy of a classifier compared with always predicting the most frequent class.

    >>> Guessing(0.5, 872, larger_class=0.509, num_classes=2).mark
    'no better than the larger class, 50.9'
    >>> Guessing(0.8, 872, larger_class=0.509, num_classes=2).mark
    ''

    Args:
        accuracy: accuracy in [0, 1]; nan is not judged.
        num_examples: number of examples; None if unknown, and then the accuracy has no interval.
        larger_class: share of the most frequent label.
        num_classes: number of classes of the task.
        one_answer: whether the model is known to predict one class for all examples.
    """

    accuracy: float
    num_examples: int | None
    larger_class: float
    num_classes: int
    one_answer: bool = False

    @classmethod
    def of(cls, labels: Iterable[int], predictions: Iterable[int], num_classes: int = 0) -> Guessing:
        """Judge predictions by their labels; ``num_classes`` if there are more classes than occur in them."""
        pairs = list(zip(labels, predictions, strict=True))
        counts = Counter(label for label, _ in pairs)
        answers = {prediction for _, prediction in pairs}
        correct = sum(label == prediction for label, prediction in pairs)
        return cls(
            correct / len(pairs) if pairs else math.nan,
            len(pairs),
            max(counts.values(), default=0) / max(len(pairs), 1),
            max(num_classes, len(answers.union(counts)), 1),
            one_answer=len(answers) == 1 and len(counts) > 1,
        )

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the accuracy; the accuracy itself if the number of examples is unknown."""
        if not self.num_examples:
            return self.accuracy, self.accuracy
        return wilson_interval(round(self.accuracy * self.num_examples), self.num_examples)

    @property
    def least(self) -> float:
        """Accuracy above which the model counts as trained (`least_accuracy`)."""
        return least_accuracy(self.larger_class)

    @property
    def chance(self) -> float:
        """Accuracy of the worst guess: labels drawn at random, or always the less frequent of two classes."""
        return min(1 / self.num_classes, 1 - self.larger_class)

    @property
    def below_chance(self) -> bool:
        """Whether the accuracy is worse than any guess, as if model and data ordered the labels differently."""
        return math.isfinite(self.accuracy) and not self.one_answer and self.interval[1] < self.chance

    @property
    def no_better(self) -> bool:
        """Whether the interval includes the share of the most frequent class, or the model predicts one class only."""
        return math.isfinite(self.accuracy) and (self.one_answer or self.interval[0] <= self.larger_class)

    @property
    def learnt(self) -> bool:
        """Whether the model is clearly better than guessing; also True for a nan accuracy."""
        return not (self.no_better or self.accuracy < self.least)

    @property
    def mark(self) -> str:
        """Remark behind the accuracy, with numbers in percent; empty if the model is better than guessing."""
        if self.learnt:
            return ""
        if self.below_chance:
            return f"below chance, {100 * self.chance:.1f}: are the labels permuted?"
        if self.one_answer:
            return f"one class predicted for every text; the larger class has {100 * self.larger_class:.1f}"
        degree = "no" if self.no_better else "hardly"
        return f"{degree} better than the larger class, {100 * self.larger_class:.1f}"
