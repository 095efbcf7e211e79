"""TaiChi's contrastive loss over pairs of a clean and an adversarial text."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

CTR_SIMILARITIES = ("cosine", "neg_l2")


def pair_similarities(first: Tensor, second: Tensor, similarity: str = "cosine") -> Tensor:
    """``s(u_i, v_j)`` of each row of ``first`` with each row of ``second``.

    Args:
        first, second: (B, H) and (C, H) of any float type.
        similarity: one of :data:`CTR_SIMILARITIES`; ``neg_l2`` is ``-||u_i - v_j||_2``.

    Returns:
        (B, C) float32, also under autocast.
    """
    if similarity not in CTR_SIMILARITIES:
        raise ValueError(f"similarity must be one of {', '.join(CTR_SIMILARITIES)}, got {similarity!r}.")
    with torch.autocast(first.device.type, enabled=False):
        if similarity == "neg_l2":
            return -torch.cdist(first.float(), second.float(), compute_mode="donot_use_mm_for_euclid_dist")
        return normalize(first.float(), dim=-1) @ normalize(second.float(), dim=-1).T


def pair_distances(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine distances of each row of ``first`` (B, H) from its paired row of ``second`` (B, H), and from the others.

    Returns two (B,) tensors: the distance from the paired row, and the mean distance from all other rows of
    ``second`` (0 if there are none).

    >>> [distances.tolist() for distances in pair_distances(torch.eye(2), torch.eye(2))]
    [[0.0, 0.0], [1.0, 1.0]]
    """
    distances = 1.0 - pair_similarities(first, second)
    paired = distances.diagonal()
    return paired, (distances.sum(dim=1) - paired) / max(len(paired) - 1, 1)


def contrastive(
    first: Tensor,
    second: Tensor,
    positive_ok: Tensor | None = None,
    *,
    tau: float = 1.0,
    similarity: str = "cosine",
    include_positive: bool = False,
) -> Tensor:
    r"""Pull each text to its paired text and push it from the paired texts of all others (TaiChi, Section 3.2).

    .. math:: \operatorname{mean}_i\Bigl[-s(u_i,v_i)/\tau + \log\sum_{j\ne i} e^{s(u_i,v_j)/\tau}\Bigr]

    Differs from the paper: the similarity grows as texts get closer, where the printed ``exp(+||u - v||)`` pushes
    positives apart. The loss is the mean over i, not the sum, as in the official code.
    The denominator leaves out j = i, as in paper and code, so that the loss can be negative.

    Args:
        first, second: (B, H) embeddings of the two texts of each pair, any float type.
        positive_ok: (B,) 1 where the pair is valid. Invalid rows have no term, but serve as negatives.
            Default: all pairs are valid.
        tau: temperature, above 0.
        similarity: one of :data:`CTR_SIMILARITIES`.
        include_positive: include j = i in the sum, which gives InfoNCE.

    Returns:
        A float32 scalar; 0, with a gradient of zeros, if the batch has one row or no valid pair.

    >>> round(contrastive(torch.eye(2), torch.eye(2)).item(), 3)
    -1.0
    """
    if not tau > 0:
        raise ValueError(f"tau must be above 0, got {tau}; TaiChi uses 1.")
    scores = pair_similarities(first, second, similarity) / tau
    if len(scores) < 2:
        return 0.0 * scores.sum()
    paired = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    others = scores if include_positive else scores.masked_fill(paired, -torch.inf)
    terms = others.logsumexp(dim=1) - scores.diagonal()
    if positive_ok is None:
        return terms.mean()
    valid = positive_ok.to(terms)
    return (valid * terms).sum() / valid.sum().clamp(min=1.0)
