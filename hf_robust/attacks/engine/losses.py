"""The losses behind gradients by word: functions of logits [n, K] and labels, summed over the rows.

Labels are class ids [n] or, for models that give a text several labels, sets [n, K] of one 0 or 1 for each label.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, as in TextAttack.

    Its gradient has the factor ``1 - p_y``, which is only rounding error in float32 where the model is certain.
    """
    return nn.functional.cross_entropy(logits, labels, reduction="sum")


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """``log((1 - p_y) / p_y)``, whose gradient is that of the cross-entropy without the factor ``1 - p_y``.

    All words of a text share this factor, so both losses rank the words equally; this one also where the model is
    certain.
    """
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (others.logsumexp(1) - _label_logits(logits, labels)).sum()


def minus_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Minus the margin of the label's logit over the highest other logit, which attacks by margin increase.

    For two classes it equals ``log_odds``.
    """
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (others.max(1).values - _label_logits(logits, labels)).sum()


def log_miss(logits: Tensor, labels: Tensor) -> Tensor:
    """``log(1 - p_y)``; for two classes minus the cross-entropy of the other class.

    Its gradient has the factor ``p_y``: of many texts, those that are already misclassified weigh little.
    """
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (others.logsumexp(1) - logits.logsumexp(1)).sum()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "probability": cross_entropy,
    "odds": log_odds,
    "margin": minus_margin,
    "miss": log_miss,
}


def smallest_margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Margin [n] of the label in each text that is closest to flipping, for sets of labels [n, K]."""
    return torch.where(labels.bool(), logits, -logits).amin(1)


def weakest_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the label that is closest to flipping, whose probability attacks lower."""
    return -nn.functional.logsigmoid(smallest_margins(logits, labels)).sum()


def minus_smallest_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Minus the smallest margin, which equals the log odds of the label that is closest to flipping."""
    return -smallest_margins(logits, labels).sum()


SET_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "probability": weakest_cross_entropy,
    "odds": minus_smallest_margin,
    "margin": minus_smallest_margin,
}


def _label_logits(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels[:, None])[:, 0]
