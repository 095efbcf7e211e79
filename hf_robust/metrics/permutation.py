"""Are labels and predictions numbered alike? Another numbering that fits far better says that they are not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import lgamma, log

import numpy as np
from numpy.typing import NDArray

from hf_robust.metrics.records import AttackRecord

Counts = NDArray[np.int64]

ALPHA = 1e-3
"""How often a model whose predictions say nothing about the labels may be suspected, at most."""


@dataclass(frozen=True)
class LabelPermutation:
    """Another reading of the predictions that is right more often.

    Attributes:
        order: ``order[p]`` is the label that prediction ``p`` seems to mean.
        accuracy: as the labels are numbered.
        permuted_accuracy: under ``order``.
        chance: accuracy of predictions of the same shares that know nothing, the sum over classes of (share among the
            labels) x (share among the predictions), as in Cohen's kappa.
        num_examples: rows that were counted.
    """

    order: tuple[int, ...]
    accuracy: float
    permuted_accuracy: float
    chance: float
    num_examples: int

    def in_words(self, names: Sequence[str]) -> str:
        """One sentence; ``names`` are the labels by id.

        >>> LabelPermutation((1, 0), 0.2, 0.8, 0.5, 100).in_words(["no", "yes"])[:77]
        'Labels may be permuted: 20.0 % of 100 rows are right, below chance (50.0 %), '
        """
        called = dict(enumerate(names))
        moved = [f"{called.get(p, p)} -> {called.get(y, y)}" for p, y in enumerate(self.order) if p != y]
        right, other, chance = (f"{100 * one:.1f} %" for one in (self.accuracy, self.permuted_accuracy, self.chance))
        beside = f", below chance ({chance})" if self.accuracy < self.chance else f" (chance: {chance})"
        return (
            f"Labels may be permuted: {right} of {self.num_examples:,} rows are right{beside}, and {other} would be "
            f"if predictions meant: {', '.join(moved)}."
        )


def confusion(labels: Iterable[int], predictions: Iterable[int], num_labels: int) -> Counts:
    """How often each class was predicted for each label: [predictions, labels].

    >>> confusion([0, 1, 1], [1, 1, 0], 2).tolist()
    [[0, 1], [1, 1]]
    """
    counts: Counts = np.zeros((num_labels, num_labels), dtype=np.int64)
    for label, prediction in zip(labels, predictions, strict=True):
        counts[prediction, label] += 1
    return counts


def permutation_of_records(records: Iterable[AttackRecord], num_labels: int) -> LabelPermutation | None:
    """`label_permutation` of the predictions on the clean texts of an attack."""
    pairs = [(one.label, one.original_prediction) for one in records]
    return label_permutation(confusion([label for label, _ in pairs], [found for _, found in pairs], num_labels))


def label_permutation(counts: Counts, alpha: float = ALPHA) -> LabelPermutation | None:
    r"""The numbering that ``counts`` speak for against their own; None where they do not.

    The best numbering maximises the number of right rows (an assignment problem). It is reported where either holds:

    - The accuracy is significantly below chance: :math:`P(X \le \text{right}) < \alpha` for a binomial X with the
      chance of `LabelPermutation` (not 1/K: a model that gives every text one class, be it the rarest, knows nothing
      and is not below it). Then all of it is.
    - Among the rows of the classes that change places with each other (a cycle; else of all that change) the other
      numbering is right twice as often, significantly (sign test), and more often than predictions of the same shares
      would be that know nothing (binomial). A weak model that takes one class for another passes the first two and
      fails the third. Both at alpha over the number of ways to number so many of the classes anew.

    Args:
        counts: what `confusion` returned.

    >>> label_permutation(np.array([[5, 95], [95, 5]])).order
    (1, 0)
    >>> label_permutation(np.array([[0, 0], [90, 10]]))
    """
    from scipy.optimize import linear_sum_assignment

    size, total, right = len(counts), int(counts.sum()), int(np.trace(counts))
    if size < 2 or not total:
        return None
    # Among equally good numberings the one that moves the fewest classes.
    _, best = linear_sum_assignment(counts * (size + 1) + np.eye(size, dtype=np.int64), maximize=True)
    cycles = _cycles(best.tolist())
    everything = [p for cycle in cycles for p in cycle]
    chance = _chance(counts)
    moved = [p for cycle in cycles if _speaks_for(counts, cycle, best, alpha) for p in cycle]
    if _rare_below(right, total, chance, log(alpha)) or (not moved and _speaks_for(counts, everything, best, alpha)):
        moved = everything
    if not moved:
        return None
    order = [int(best[p]) if p in moved else p for p in range(size)]
    permuted = int(counts[range(size), order].sum())
    return LabelPermutation(tuple(order), right / total, permuted / total, chance, total)


def _chance(counts: Counts) -> float:
    """Expected agreement of independent predictions and labels with these shares."""
    total = counts.sum()
    return float((counts.sum(axis=1) / total) @ (counts.sum(axis=0) / total))


def _cycles(best: Sequence[int]) -> list[list[int]]:
    """The classes that change places, those that do so among each other together."""
    seen: set[int] = set()
    found = []
    for start in range(len(best)):
        cycle = []
        while start not in seen:
            seen.add(start)
            cycle.append(start)
            start = best[start]
        if len(cycle) > 1:
            found.append(cycle)
    return found


def _speaks_for(counts: Counts, moved: Sequence[int], best: Counts, alpha: float) -> bool:
    if not moved:
        return False
    part = counts[moved][:, best[moved]]  # its diagonal is right after the move
    right, kept, total = int(np.trace(part)), int(counts[moved, moved].sum()), int(part.sum())
    size = len(counts)
    log_alpha = log(alpha / (size - 1)) - lgamma(size + 1) + lgamma(size - len(moved) + 1)
    return (
        right > 2 * kept
        and _rare_below(kept, right + kept, 0.5, log_alpha)
        and _rare_below(total - right, total, 1 - _chance(part), log_alpha)
    )


def _rare_below(count: int, total: int, rate: float, log_alpha: float) -> bool:
    """Whether so few of ``total`` at ``rate`` each are rarer than alpha."""
    from scipy.stats import binom

    return bool(binom.logcdf(count, total, rate) < log_alpha)
