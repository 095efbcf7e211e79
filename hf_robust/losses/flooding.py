"""Flooding: a training loss that is not let below a level."""

from __future__ import annotations

from torch import Tensor


def flood(loss: Tensor, level: float) -> Tensor:
    r"""``|loss - level| + level`` (Ishida et al. 2020, Eq. 5): descent above the level, ascent below it.

    At the level itself the derivative is taken as 0, so that a step there changes nothing.

    >>> import torch
    >>> round(flood(torch.tensor(0.05), 0.1).item(), 6)
    0.15
    """
    return (loss - level).abs() + level


def flooded(loss: Tensor, level: float) -> Tensor:
    """The value of ``loss`` with the gradient of :func:`flood`: what a log of the loss should show.

    Args:
        loss: of any method, a scalar; its mean is taken where each device gave one.
    """
    mean = loss.mean()
    raised = flood(mean, level)
    return mean.detach() + (raised - raised.detach())
