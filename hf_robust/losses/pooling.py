"""One vector for a text from its last hidden states."""

from __future__ import annotations

import torch
from torch import Tensor

POOLINGS = ("cls", "mean_pool", "max_pool")


def sentence_embedding(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Pool hidden states over the real tokens of each row.

    ``cls`` takes the first real token, so that left padding does not hand over a padding position.

    Args:
        hidden: (B, L, H) last hidden states.
        mask: (B, L) 1 for real tokens.
        pooling: one of :data:`POOLINGS`.

    Returns:
        (B, H).
    """
    if pooling == "cls":
        first = mask.long().argmax(dim=1)
        return hidden[torch.arange(len(hidden), device=hidden.device), first]
    keep = mask.bool().unsqueeze(-1)
    if pooling == "mean_pool":
        return hidden.masked_fill(~keep, 0.0).sum(dim=1) / keep.sum(dim=1).clamp(min=1)
    if pooling == "max_pool":
        return hidden.masked_fill(~keep, torch.finfo(hidden.dtype).min).max(dim=1).values
    raise ValueError(f"sentence_embed_type must be one of {', '.join(POOLINGS)}, got {pooling!r}.")
