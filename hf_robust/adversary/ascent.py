"""The inner maximisation: a generator that yields points and receives gradients, and a loop that drives it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from hf_robust.adversary.perturbation import Variable

V = TypeVar("V", bound=Variable)


def ascend(start: V, steps: int) -> Generator[V, tuple[Tensor, ...], None]:
    """Yield ``start`` and the ``steps`` points after it; the caller sends the gradients at each point.

    The gradients come from the backward pass of the training loss (one graph in memory) or from :func:`climb`. The
    leaves of each point require gradients, except those of the last point, which is a constant.
    """
    point = start
    for _ in range(steps):
        point = point.attached()
        gradients = yield point
        # Without detaching, tensors that are no leaves, such as TA-VAT's eta, would keep the graph.
        point = point.detached().moved(gradients)
    yield point.detached()


class Step(NamedTuple):
    """One step of a climb: the point it left, the losses and gradients there, and the point it reached."""

    before: Variable
    losses: Tensor
    """(B,) per-sample losses at ``before``, float32."""
    gradients: tuple[Tensor, ...]
    """Gradients of the SUM of the losses, one for each leaf of ``before``."""
    after: Variable


def climb(
    start: Variable,
    steps: int,
    losses_at: Callable[[Variable], Tensor],
    scale: float = 1.0,
    create_graph: bool = False,
) -> Iterator[Step]:
    """Run an ascent with its own gradients, which leave the ``.grad`` of the parameters alone.

    Args:
        start: the first point.
        steps: number of ascent steps, 0 for none.
        losses_at: a forward pass at a point, which returns (B,) per-sample losses.
        scale: factor on the losses before differentiation, divided out of the gradients afterwards, so that fp16
            gradients do not vanish.
        create_graph: keep the gradients differentiable, for objectives that contain them.
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
