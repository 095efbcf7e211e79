"""The losses behind gradients by word: functions of logits [n, K] and labels [n], summed over the rows."""

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


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "probability": cross_entropy,
    "odds": log_odds,
    "margin": minus_margin,
}


def _label_logits(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels[:, None])[:, 0]
