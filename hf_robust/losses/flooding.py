"""Flooding: keeps a training loss from falling below a level."""

from __future__ import annotations

from torch import Tensor


def flood(loss: Tensor, level: float) -> Tensor:
    r"""``|loss - level| + level`` (Ishida et al. 2020, Eq. 5): descent above the level, ascent below it.

    Exactly at the level the derivative is 0, so that a step changes nothing.

    >>> import torch
    >>> round(flood(torch.tensor(0.05), 0.1).item(), 6)
    0.15
    """
    return (loss - level).abs() + level


def flooded(loss: Tensor, level: float) -> Tensor:
    """The value of ``loss`` with the gradient of :func:`flood`, so that the log shows the plain loss.

    Args:
        loss: a scalar, or one value for each device, of which the mean is taken.
    """
    mean = loss.mean()
    raised = flood(mean, level)
    return mean.detach() + (raised - raised.detach())
