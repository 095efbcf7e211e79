"""Detection of permuted labels: another order of the label ids that fits the predictions far better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import lgamma, log

import numpy as np
from numpy.typing import NDArray

from hf_robust.metrics.records import AttackRecord

Counts = NDArray[np.int64]

ALPHA = 1e-3
"""Largest rate of false alarms for a model whose predictions are independent of the labels."""


@dataclass(frozen=True)
class LabelPermutation:
    """An order of the label ids under which more predictions are correct.

    Attributes:
        order: ``order[p]`` is the label that prediction ``p`` seems to mean.
        accuracy: accuracy with the given label ids.
        permuted_accuracy: accuracy under ``order``.
        chance: accuracy of independent predictions with the same class shares, the sum over classes of (share among
            the labels) x (share among the predictions), as in Cohen's kappa.
        num_examples: number of rows.
    """

    order: tuple[int, ...]
    accuracy: float
    permuted_accuracy: float
    chance: float
    num_examples: int

    def in_words(self, names: Sequence[str]) -> str:
        """One sentence; ``names`` are the labels by id.

        >>> LabelPermutation((1, 0), 0.2, 0.8, 0.5, 100).in_words(["no", "yes"])[:77]
        'Labels may be permuted: the accuracy on 100 rows is 20.0 %, below chance (50.'
        """
        name_of = dict(enumerate(names))
        moved = [f"{name_of.get(p, p)} -> {name_of.get(y, y)}" for p, y in enumerate(self.order) if p != y]
        given, permuted, chance = (f"{100 * x:.1f} %" for x in (self.accuracy, self.permuted_accuracy, self.chance))
        comparison = f", below chance ({chance})" if self.accuracy < self.chance else f" (chance: {chance})"
        return (
            f"Labels may be permuted: the accuracy on {self.num_examples:,} rows is {given}{comparison}, and would be "
            f"{permuted} if predictions meant: {', '.join(moved)}."
        )


def confusion(labels: Iterable[int], predictions: Iterable[int], num_labels: int) -> Counts:
    """Confusion matrix of counts: [predictions, labels].

    >>> confusion([0, 1, 1], [1, 1, 0], 2).tolist()
    [[0, 1], [1, 1]]
    """
    counts: Counts = np.zeros((num_labels, num_labels), dtype=np.int64)
    for label, prediction in zip(labels, predictions, strict=True):
        counts[prediction, label] += 1
    return counts


def permutation_of_records(records: Sequence[AttackRecord], num_labels: int) -> LabelPermutation | None:
    """`label_permutation` of the predictions on the clean texts of an attack."""
    labels, predictions = [one.label for one in records], [one.original_prediction for one in records]
    return label_permutation(confusion(labels, predictions, num_labels))


def label_permutation(counts: Counts, alpha: float = ALPHA) -> LabelPermutation | None:
    r"""The order of the label ids that fits ``counts`` significantly better than theirs; None if there is none.

    The best order maximises the number of correct rows (an assignment problem). It is reported if one of these holds:

    - The accuracy is significantly below chance: :math:`P(X \le \text{correct}) < \alpha` for a binomial X with the
      chance of `LabelPermutation`. (With 1/K instead, a model that always predicts the rarest class would count as
      below chance.) Then the whole order is reported.
    - On the rows of the classes that change places with each other (a cycle; else all classes that change), the other
      order is correct more than twice as often, significantly so (sign test), and correct more often than independent
      predictions with the same class shares (binomial test). A weak model that confuses two classes passes the first
      two conditions and fails the third. Both tests are at alpha divided by the number of ways to reorder this many
      classes.

    Args:
        counts: result of `confusion`.

    >>> label_permutation(np.array([[5, 95], [95, 5]])).order
    (1, 0)
    >>> label_permutation(np.array([[0, 0], [90, 10]]))
    """
    from scipy.optimize import linear_sum_assignment

    size, total, correct = len(counts), int(counts.sum()), int(np.trace(counts))
    if size < 2 or not total:
        return None
    # Among equally good orders, the one that moves the fewest classes.
    _, best = linear_sum_assignment(counts * (size + 1) + np.eye(size, dtype=np.int64), maximize=True)
    cycles = _cycles(best.tolist())
    everything = [p for cycle in cycles for p in cycle]
    chance = _chance(counts)
    moved = [p for cycle in cycles if _speaks_for(counts, cycle, best, alpha) for p in cycle]
    if _rare_below(correct, total, chance, log(alpha)) or (not moved and _speaks_for(counts, everything, best, alpha)):
        moved = everything
    if not moved:
        return None
    order = [int(best[p]) if p in moved else p for p in range(size)]
    permuted = int(counts[range(size), order].sum())
    return LabelPermutation(tuple(order), correct / total, permuted / total, chance, total)


def _chance(counts: Counts) -> float:
    """Expected accuracy of independent predictions with these class shares."""
    total = counts.sum()
    return float((counts.sum(axis=1) / total) @ (counts.sum(axis=0) / total))


def _cycles(best: Sequence[int]) -> list[list[int]]:
    """Cycles of the permutation with more than one class."""
    visited: set[int] = set()
    cycles = []
    for start in range(len(best)):
        cycle = []
        while start not in visited:
            visited.add(start)
            cycle.append(start)
            start = best[start]
        if len(cycle) > 1:
            cycles.append(cycle)
    return cycles


def _speaks_for(counts: Counts, moved: Sequence[int], best: Counts, alpha: float) -> bool:
    if not moved:
        return False
    part = counts[moved][:, best[moved]]  # its diagonal is correct under the other order
    after, before, total = int(np.trace(part)), int(counts[moved, moved].sum()), int(part.sum())
    size = len(counts)
    log_alpha = log(alpha / (size - 1)) - lgamma(size + 1) + lgamma(size - len(moved) + 1)
    return (
        after > 2 * before
        and _rare_below(before, after + before, 0.5, log_alpha)
        and _rare_below(total - after, total, 1 - _chance(part), log_alpha)
    )


def _rare_below(count: int, total: int, rate: float, log_alpha: float) -> bool:
    """Whether ``count`` or fewer successes of ``total`` at ``rate`` have a probability below alpha."""
    from scipy.stats import binom

    return bool(binom.logcdf(count, total, rate) < log_alpha)
