"""Estimates of mutual information that InfoBERT uses (Wang et al. 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEGATIVES = ("sentences", "tokens")

# Far below 1 / tokens, far above the float32 rounding error of share * tokens.
_ROUNDING = 1e-3


def club(features: Tensor, partners: Tensor) -> Tensor:
    r"""``mean_i ||T_i - T_partner(i)||^2 / 2``: the contrastive upper bound (CLUB) as in the official code.

    With a fixed unit Gaussian it is a variance of the features, not a learnt estimate.

    Args:
        features: (n, H) of any float type.
        partners: (n,) row numbers.

    Returns:
        A float32 scalar; 0 without rows.
    """
    features = features.float()
    return 0.5 * (features - features[partners]).square().sum() / max(len(features), 1)


def info_nce(scores: Tensor, owners: Tensor, negatives: str = "sentences") -> Tensor:
    r"""InfoNCE between n tokens a_i and the sentences c_i that they belong to, from a critic's scores.

    .. math:: \frac1n\sum_i F(a_i,c_i) - \frac1n\sum_i\Bigl[\log\sum_{j=1}^n e^{F(a_i,c_j)} - \log n\Bigr]

    c_j depends on the text alone, so that n x B scores are enough for the n x n pairs: each score counts as often as
    its text has tokens, and the sum over j is a log-sum-exp with the logarithms of these counts added. With
    ``negatives="tokens"`` the inner sum runs over the tokens, F(a_j, c_i), as in the official code.

    Args:
        scores: (n, B), F of each token with the sentence of each text.
        owners: (n,) row number of the text of each token.
        negatives: one of :data:`NEGATIVES`.

    Returns:
        A float32 scalar, at most log n; 0, with a gradient of zeros, without tokens.
    """
    scores = scores.float()
    count = max(len(scores), 1)
    positive = scores.gather(1, owners.unsqueeze(1)).sum() / count
    tokens = torch.bincount(owners, minlength=scores.shape[1]).to(scores.dtype)
    if negatives == "sentences":
        negative = (scores + tokens.log()).logsumexp(dim=1).sum() / count
    elif len(scores):
        negative = (scores.logsumexp(dim=0) * tokens).sum() / count
    else:
        negative = scores.sum()
    return positive - negative + math.log(count)


def middle_ranks(values: Tensor, mask: Tensor, low: float, high: float) -> Tensor:
    """Mask of the real tokens with ranks ceil(low * n) .. ceil(high * n) - 1 of the n of their text, by rising value.

    Args:
        values: (B, L), the gradient norm of each token.
        mask: (B, L), 1 for real tokens.
        low, high: shares of the tokens, in [0, 1].

    Returns:
        (B, L) bool. A short text may have no such token: n = 1 with (.5, .9) gives the empty range 1..0.
    """
    real = mask.bool()
    ranks = values.masked_fill(~real, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
    counts = real.sum(dim=1, keepdim=True)
    first, end = ((share * counts - _ROUNDING).ceil() for share in (low, high))
    return real & (ranks >= first) & (ranks < end)
