"""The inner maximisation: a generator of points that is sent gradients, and a way to drive it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from hf_robust.adversary.perturbation import Variable

V = TypeVar("V", bound=Variable)


def ascend(start: V, steps: int) -> Generator[V, tuple[Tensor, ...], None]:
    """Yield ``start`` and the ``steps`` points after it; each ``send`` answers with the gradients at the last point.

    Who sends decides what a pass is for: the training loss's own backward pass (one graph in memory), or
    :func:`climb`. Each point but the last is ready to be differentiated by; the last is a constant, since no gradient
    of it is asked for.
    """
    point = start
    for _ in range(steps):
        point = point.attached()
        gradients = yield point
        # A move from an attached point would carry its graph into what is no leaf, as TA-VAT's eta.
        point = point.detached().moved(gradients)
    yield point.detached()


class Step(NamedTuple):
    """One step of a climb: the point it left, the losses and gradients there, and the point it reached."""

    before: Variable
    losses: Tensor
    """(B,) per-sample losses at ``before``, float32."""
    gradients: tuple[Tensor, ...]
    """Of the SUM of the losses, for each leaf of ``before``."""
    after: Variable


def climb(
    start: Variable,
    steps: int,
    losses_at: Callable[[Variable], Tensor],
    scale: float = 1.0,
    create_graph: bool = False,
) -> Iterator[Step]:
    """Climb by gradients of their own, which never touch the parameters' ``.grad``.

    Args:
        start: the first point.
        steps: number of ascent steps, 0 for none.
        losses_at: a forward pass at a point, giving (B,) per-sample losses.
        scale: what the losses are multiplied by before and the gradients divided by after differentiation, so that
            fp16 gradients do not vanish.
        create_graph: keep the gradients differentiable, for objectives made of them.
    """
    points = ascend(start, steps)
    before = next(points)
    for _ in range(steps):
        losses = losses_at(before).float()
        scaled = torch.autograd.grad(losses.sum() * scale, before.leaves, create_graph=create_graph)
        gradients = scaled if scale == 1.0 else tuple(gradient / scale for gradient in scaled)
        after = points.send(tuple(gradient.detach() for gradient in gradients))
        yield Step(before, losses if create_graph else losses.detach(), gradients, after)
        before = after
