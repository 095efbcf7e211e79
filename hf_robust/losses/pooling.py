"""Sentence embeddings: pooling of the last hidden states of a text."""

from __future__ import annotations

import torch
from torch import Tensor

POOLINGS = ("cls", "last_token", "mean_pool", "max_pool")


def sentence_embedding(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Pool hidden states over the real tokens of each row.

    ``cls`` takes the first real token and ``last_token`` the last one, so that neither takes a padding position.

    Args:
        hidden: (B, L, H) last hidden states.
        mask: (B, L) 1 for real tokens.
        pooling: one of :data:`POOLINGS`.

    Returns:
        (B, H).

    Raises:
        ValueError: the pooling is unknown, or the model has not one state for each token (Funnel; ``cls`` alone works
            there).

    >>> hidden, mask = torch.arange(6.0).reshape(1, 3, 2), torch.tensor([[1, 1, 0]])
    >>> [sentence_embedding(hidden, mask, pooling).tolist()[0] for pooling in POOLINGS]
    [[0.0, 1.0], [2.0, 3.0], [1.0, 2.0], [2.0, 3.0]]
    """
    if pooling not in POOLINGS:
        raise ValueError(f"the pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}.")
    if hidden.shape[:2] != mask.shape:
        if pooling == "cls" and mask[:, 0].all():
            return hidden[:, 0]
        raise ValueError(
            f"{pooling} pools one last hidden state for each token, and this model has {hidden.shape[1]} of "
            f"{mask.shape[1]} tokens."
        )
    if pooling in ("cls", "last_token"):
        real = mask.long()
        place = real.argmax(dim=1) if pooling == "cls" else mask.shape[1] - 1 - real.flip(1).argmax(dim=1)
        return hidden[torch.arange(len(hidden), device=hidden.device), place]
    keep = mask.bool().unsqueeze(-1)
    if pooling == "mean_pool":
        return hidden.masked_fill(~keep, 0.0).sum(dim=1) / keep.sum(dim=1).clamp(min=1)
    return hidden.masked_fill(~keep, torch.finfo(hidden.dtype).min).amax(dim=1)
