"""Rank correlation of a mask's word importances with the effect of deleting a word from a text, without the mask."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hf_robust.words import Text

Logits = Callable[[Sequence[tuple[str, ...]]], Tensor]
"""Maps N texts, each a tuple of one or two columns, to (N, K) logits."""


class RankCorrelation(NamedTuple):
    """Spearman's rank correlation, and the number of words."""

    correlation: float
    words: int


def leave_one_out_importances(
    logits: Logits, texts: Sequence[tuple[str, ...]], min_occurrences: int
) -> dict[str, float]:
    r"""Mean change of the prediction when an occurrence of a word is deleted, by word in lower case.

    .. math:: |m(x) - m(x\setminus w)|,\qquad m = z_c - \log\sum_{k\ne c} e^{z_k}

    with c the class predicted for x; for two classes m is the difference of their logits.

    Args:
        logits: the logits of the model without a mask.
        texts: the texts from which words are deleted, one at a time.
        min_occurrences: minimum number of occurrences of a word; rarer ones have no importance.
    """
    whole = [Text(columns) for columns in texts]
    deletions = [(row, word) for row, text in enumerate(whole) for word in range(len(text.words))]
    shortened = (whole[row].delete(word).columns for row, word in deletions)
    scores = logits([*(text.columns for text in whole), *shortened])
    predicted = scores[: len(whole)].argmax(-1)
    rows = [row for row, _ in deletions]
    classes = torch.cat([predicted, predicted[rows]]).unsqueeze(1)
    of_class = scores.gather(1, classes).squeeze(1)
    margins = of_class - scores.scatter(1, classes, -torch.inf).logsumexp(1)
    changes = (margins[: len(whole)][rows] - margins[len(whole) :]).abs().tolist()
    by_word = defaultdict[str, list[float]](list)
    for (row, word), change in zip(deletions, changes, strict=True):
        by_word[whole[row].words[word].text.lower()].append(change)
    return {word: statistics.fmean(values) for word, values in by_word.items() if len(values) >= min_occurrences}


def rank_correlation(importances: Mapping[str, float], effects: Mapping[str, float]) -> RankCorrelation:
    """Correlation of a mask's importances with the effects of deletion, over their common words; nan if constant."""
    from scipy.stats import spearmanr

    shared = sorted(importances.keys() & effects.keys())
    first, second = [importances[word] for word in shared], [effects[word] for word in shared]
    if len(set(first)) < 2 or len(set(second)) < 2:
        return RankCorrelation(float("nan"), len(shared))
    return RankCorrelation(float(spearmanr(first, second).statistic), len(shared))
