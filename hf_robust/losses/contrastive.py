"""TaiChi's contrastive loss over pairs of a clean and an adversarial text."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of each row of ``first`` (B, H) with each row of ``second`` (C, H): (B, C) float32, also in autocast."""
    with torch.autocast(first.device.type, enabled=False):
        return normalize(first.float(), dim=-1) @ normalize(second.float(), dim=-1).T


def pair_distances(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine distances of each row of ``first`` (B, H) from its paired row of ``second`` (B, H), and from the others.

    Returns two (B,) tensors: the distance from the paired row, and the mean distance from all other rows of
    ``second`` (0 if there are none).

    >>> [distances.tolist() for distances in pair_distances(torch.eye(2), torch.eye(2))]
    [[0.0, 0.0], [1.0, 1.0]]
    """
    distances = 1.0 - _cosines(first, second)
    paired = distances.diagonal()
    return paired, (distances.sum(dim=1) - paired) / max(len(paired) - 1, 1)


def contrastive(
    first: Tensor,
    second: Tensor,
    positive_ok: Tensor | None = None,
    *,
    tau: float = 1.0,
) -> Tensor:
    r"""Pull each text to its paired text and push it from the paired texts of all others (TaiChi, Section 3.2).

    .. math:: \operatorname{mean}_i\Bigl[-s(u_i,v_i)/\tau + \log\sum_{j\ne i} e^{s(u_i,v_j)/\tau}\Bigr]

    Differs from the paper: s is the cosine, as in the official code, where the printed ``exp(+||u - v||)`` pushes
    positives apart. The loss is the mean over i, not the sum, as in the official code.
    The denominator leaves out j = i, as in paper and code, so that the loss can be negative.

    Args:
        first, second: (B, H) embeddings of the two texts of each pair, any float type.
        positive_ok: (B,) 1 where the pair is valid. Invalid rows have no term, but serve as negatives.
            Default: all pairs are valid.
        tau: temperature, above 0.

    Returns:
        A float32 scalar; 0, with a gradient of zeros, if the batch has one row or no valid pair.

    >>> round(contrastive(torch.eye(2), torch.eye(2)).item(), 3)
    -1.0
    """
    if not tau > 0:
        raise ValueError(f"tau must be above 0, got {tau}; TaiChi uses 1.")
    scores = _cosines(first, second) / tau
    if len(scores) < 2:
        return 0.0 * scores.sum()
    paired = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    terms = scores.masked_fill(paired, -torch.inf).logsumexp(dim=1) - scores.diagonal()
    if positive_ok is None:
        return terms.mean()
    valid = positive_ok.to(terms)
    return (valid * terms).sum() / valid.sum().clamp(min=1.0)
