"""Is a classifier better than guessing? An attack's rates on one that is not say nothing about robustness."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hf_robust.metrics.rates import wilson_interval

LEAST_LEARNT = 0.2
"""Share of the way from guessing the larger class to no error below which a model has learnt next to nothing."""


def least_accuracy(larger_class: float) -> float:
    """Accuracy below which a model's other rates say nothing: ten points above guessing where the classes are even."""
    return larger_class + LEAST_LEARNT * (1 - larger_class)


@dataclass(frozen=True)
class Guessing:
    """A classifier's accuracy beside what is had without reading: the most frequent class as every answer.

    >>> Guessing(0.5, 872, larger_class=0.509, num_classes=2).mark
    'no better than the larger class, 50.9'
    >>> Guessing(0.8, 872, larger_class=0.509, num_classes=2).mark
    ''

    Args:
        accuracy: of the examples, in [0, 1]; nan is not judged.
        num_examples: how many they are; None where nobody knows, and then the accuracy has no interval.
        larger_class: the share of their most frequent label.
        num_classes: of the task.
        one_answer: whether the model is known to give all of them one label.
    """

    accuracy: float
    num_examples: int | None
    larger_class: float
    num_classes: int
    one_answer: bool = False

    @classmethod
    def of(cls, labels: Iterable[int], predictions: Iterable[int], num_classes: int = 0) -> Guessing:
        """From what is true and what was predicted of each example; ``num_classes`` where more are known."""
        pairs = list(zip(labels, predictions, strict=True))
        counts = Counter(label for label, _ in pairs)
        answers = {prediction for _, prediction in pairs}
        right = sum(label == prediction for label, prediction in pairs)
        return cls(
            right / len(pairs) if pairs else math.nan,
            len(pairs),
            max(counts.values(), default=0) / max(len(pairs), 1),
            max(num_classes, len(answers.union(counts)), 1),
            one_answer=len(answers) == 1 and len(counts) > 1,
        )

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the accuracy; the accuracy itself where the number of examples is not known."""
        if not self.num_examples:
            return self.accuracy, self.accuracy
        return wilson_interval(round(self.accuracy * self.num_examples), self.num_examples)

    @property
    def least(self) -> float:
        """The accuracy from which on it counts as learnt (`least_accuracy`)."""
        return least_accuracy(self.larger_class)

    @property
    def chance(self) -> float:
        """What a guess reaches at least: labels drawn at random, or the smaller of two classes as every answer."""
        return min(1 / self.num_classes, 1 - self.larger_class)

    @property
    def below_chance(self) -> bool:
        """Whether it is worse than any guess, as a model is whose labels have other numbers than the data's."""
        return math.isfinite(self.accuracy) and not self.one_answer and self.interval[1] < self.chance

    @property
    def no_better(self) -> bool:
        """Whether its interval reaches down to the larger class, or it gives one answer to all."""
        return math.isfinite(self.accuracy) and (self.one_answer or self.interval[0] <= self.larger_class)

    @property
    def learnt(self) -> bool:
        """Whether it is clearly better than guessing; True too where there is no accuracy to judge."""
        return not (self.no_better or self.accuracy < self.least)

    @property
    def mark(self) -> str:
        """What stands in brackets behind the accuracy, in percent; empty where the model has learnt the task."""
        if self.learnt:
            return ""
        if self.below_chance:
            return f"below chance, {100 * self.chance:.1f}: are the labels permuted?"
        if self.one_answer:
            return f"one answer to every text; the larger class is {100 * self.larger_class:.1f}"
        how = "no" if self.no_better else "hardly"
        return f"{how} better than the larger class, {100 * self.larger_class:.1f}"
