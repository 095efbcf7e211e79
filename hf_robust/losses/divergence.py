"""Kullback-Leibler divergences between predictions, of one class or of several labels for each row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid


def sample_kl(p_logits: Tensor, q_logits: Tensor, multi_label: bool = False) -> Tensor:
    r"""``KL(P || Q) = sum_k P_k (log P_k - log Q_k)`` of each row, differentiable in both arguments.

    The order of the arguments matters: this equals ``torch.nn.functional.kl_div(log Q, P)``, which takes Q first.

    Args:
        p_logits, q_logits: (B, K) logits of any float type.
        multi_label: each label has a prediction of its own, ``p_k = sigmoid(p_logits_k)``. The divergence is then the
            mean over the labels of ``KL(Bernoulli(p_k) || Bernoulli(q_k))``, as the task loss is their mean.

    Returns:
        (B,) float32 at any precision of the model. Rounding can make a value near 0 negative.

    >>> import torch
    >>> round(sample_kl(torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])).item(), 4)
    0.4338
    """
    if multi_label:
        return (_present(p_logits, q_logits) + _present(-p_logits, -q_logits)).mean(dim=-1)
    p, q = log_softmax(p_logits.float(), dim=-1), log_softmax(q_logits.float(), dim=-1)
    return (p.exp() * (p - q)).sum(dim=-1)


def _present(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """``p_k (log p_k - log q_k)`` of each label, (B, K) float32."""
    p = logsigmoid(p_logits.float())
    return p.exp() * (p - logsigmoid(q_logits.float()))


def soft_label_kl(targets: Tensor, logits: Tensor) -> Tensor:
    r"""``KL(t || softmax(logits))`` of each row: the soft cross-entropy minus the entropy of ``targets``.

    Args:
        targets: (B, K) probabilities, 0 allowed.
        logits: (B, K) of any float type.

    Returns:
        (B,) float32, computed by log-softmax, so that it is finite where a predicted probability rounds to 0.

    >>> soft_label_kl(torch.tensor([[1.0, 0.0]]), torch.tensor([[-200.0, 0.0]])).item()
    200.0
    """
    targets = targets.float()
    entropies: Tensor = torch.special.xlogy(targets, targets)
    return (entropies - targets * log_softmax(logits.float(), dim=-1)).sum(dim=-1)


def kl(p_logits: Tensor, q_logits: Tensor, multi_label: bool = False) -> Tensor:
    """Mean over the rows of :func:`sample_kl`, a scalar."""
    return sample_kl(p_logits, q_logits, multi_label).mean()


def sample_symmetric_kl(
    first: Tensor, second: Tensor, detach_targets: bool = False, multi_label: bool = False
) -> Tensor:
    """``KL(P || Q) + KL(Q || P)`` of each row, (B,) float32; arguments as in :func:`sample_kl`.

    With ``detach_targets`` the first argument of each of the two terms is a constant, as in SMART's official code. The
    value is the same; the gradient with respect to each prediction is then its difference from the other one.
    """
    if detach_targets:
        first_target, second_target = first.detach(), second.detach()
        return sample_kl(first_target, second, multi_label) + sample_kl(second_target, first, multi_label)
    return sample_kl(first, second, multi_label) + sample_kl(second, first, multi_label)


def symmetric_kl(first: Tensor, second: Tensor, detach_targets: bool = False, multi_label: bool = False) -> Tensor:
    """Mean over the rows of :func:`sample_symmetric_kl`, a scalar."""
    return sample_symmetric_kl(first, second, detach_targets, multi_label).mean()
