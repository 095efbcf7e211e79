"""Do a mask's importances follow what the model itself looks at? Words are left out one by one, without a mask."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from scipy.stats import spearmanr
from torch import Tensor

from hf_robust.words import Text

Logits = Callable[[Sequence[tuple[str, ...]]], Tensor]
"""(N, K) of N texts, each a tuple of one or two columns."""


class Rank(NamedTuple):
    """Spearman's rank correlation over so many words."""

    correlation: float
    words: int


def left_out_importances(logits: Logits, texts: Sequence[tuple[str, ...]], often: int) -> dict[str, float]:
    r"""By word in lower case, how much leaving it out changes the prediction: a mean over its places in the texts.

    .. math:: |m(x) - m(x\setminus w)|,\qquad m = z_c - \log\sum_{k\ne c} e^{z_k}

    with c the class predicted for x; of two classes m is the difference of their logits.

    Args:
        logits: the model's, without a mask.
        texts: what words are left out of.
        often: words with fewer places are left out.
    """
    whole = [Text(columns) for columns in texts]
    left = [(place, word) for place, text in enumerate(whole) for word in range(len(text.words))]
    found = logits([*(text.columns for text in whole), *(whole[place].delete(word).columns for place, word in left)])
    predicted = found[: len(whole)].argmax(-1)
    classes = torch.cat([predicted, predicted[[place for place, _ in left]]]).unsqueeze(1)
    own = found.gather(1, classes).squeeze(1)
    margins = own - found.scatter(1, classes, -torch.inf).logsumexp(1)
    changes = (margins[: len(whole)][[place for place, _ in left]] - margins[len(whole) :]).abs().tolist()
    by_word = defaultdict[str, list[float]](list)
    for (place, word), change in zip(left, changes, strict=True):
        by_word[whole[place].words[word].text.lower()].append(change)
    return {word: statistics.fmean(values) for word, values in by_word.items() if len(values) >= often}


def rank(importances: Mapping[str, float], own: Mapping[str, float]) -> Rank:
    """Of a mask's importances with the model's own, over the words that have both; nan where either is constant."""
    shared = sorted(importances.keys() & own.keys())
    first, second = [importances[word] for word in shared], [own[word] for word in shared]
    if len(set(first)) < 2 or len(set(second)) < 2:
        return Rank(float("nan"), len(shared))
    return Rank(float(spearmanr(first, second).statistic), len(shared))
