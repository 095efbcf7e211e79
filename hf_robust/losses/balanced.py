"""Balanced contrastive losses over an anchor, a fickle (synonym) and an obstinate (antonym) view of each example."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cosine_similarity


def cosine_distance(first: Tensor, second: Tensor) -> Tensor:
    """``1 - cos``, in [0, 2]: 0 parallel, 1 orthogonal, 2 opposite (a distance, not a similarity).

    Args:
        first, second: (B, H) sentence embeddings of any float type.

    Returns:
        (B,) float32 distances, whatever the precision of the model.

    >>> import torch
    >>> cosine_distance(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])).item()
    1.0
    """
    return 1.0 - cosine_similarity(first.float(), second.float(), dim=-1)


def balanced_pairwise(
    fickle: Tensor, obstinate: Tensor, fickle_ok: Tensor, obstinate_ok: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    r"""Pull the fickle view to the anchor and push the obstinate view beyond the margin.

    Chen et al. 2022, Section 4.1:

    .. math:: \frac{\sum_b p^f_b d_b^+}{\sum_b p^f_b},\qquad \frac{\sum_b p^o_b \max(0, m - d_b^-)}{\sum_b p^o_b}

    The denominators are clamped to 1, so that a batch without a valid view gives 0 and not 0/0.

    Args:
        fickle, obstinate: (B,) distances of the views from the anchor.
        fickle_ok, obstinate_ok: (B,) 1 where the view is valid, else 0.
        margin: minimum distance of the obstinate view from the anchor.

    Returns:
        The pull and the push term, both scalars.
    """
    pull = (fickle_ok * fickle).sum() / fickle_ok.sum().clamp(min=1.0)
    push = (obstinate_ok * (margin - obstinate).clamp(min=0.0)).sum() / obstinate_ok.sum().clamp(min=1.0)
    return pull, push


def balanced_triplet(
    fickle: Tensor, obstinate: Tensor, fickle_ok: Tensor, obstinate_ok: Tensor, margin: float
) -> Tensor:
    r"""Push the obstinate view further from the anchor than the fickle view by the margin.

    Chen et al. 2022, Section 4.1:

    .. math:: \frac1B\sum_b \max\bigl(0,\ p^f_b d_b^+ + p^o_b (m - d_b^-)\bigr)

    Both terms are masked, as the text of the paper says; the official code ignores the fickle mask. The mean is over
    all B rows, valid or not. Arguments as in :func:`balanced_pairwise`; returns a scalar.
    """
    return (fickle_ok * fickle + obstinate_ok * (margin - obstinate)).clamp(min=0.0).mean()
