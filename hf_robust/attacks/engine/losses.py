"""What gradients by word are of: losses of logits [n, K] and labels [n], summed over the rows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """As TextAttack takes it. Its gradient has the factor ``1 - p_y``, of which float32 leaves nothing but rounding
    where the model is certain."""
    return nn.functional.cross_entropy(logits, labels, reduction="sum")


def odds(logits: Tensor, labels: Tensor) -> Tensor:
    """``log((1 - p_y) / p_y)``: the cross-entropy's gradient without that factor, which all words of a text share, so
    that it ranks them as the cross-entropy does however certain the model is."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (others.logsumexp(1) - _own(logits, labels)).sum()


def minus_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Minus the margin of the label's logit over the highest other one: what an attack by margins climbs. For two
    classes it is ``odds``."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (others.max(1).values - _own(logits, labels)).sum()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "probability": cross_entropy,
    "odds": odds,
    "margin": minus_margin,
}


def _own(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels[:, None])[:, 0]
