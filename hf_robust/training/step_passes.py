"""Forward and backward passes of one training step, as the class of a method counts them."""

from __future__ import annotations

from typing import Any, NamedTuple


class Passes(NamedTuple):
    """Number of passes, each over one batch of texts; the views of a batch are further batches.

    A backward pass goes through the graph of one forward pass, to the parameters or to the word embeddings alone.
    """

    forwards: int
    backwards: int


def streamed_passes(args: Any, count: int) -> Passes:
    """Passes of ``count`` training passes in a row, each at the point that the one before leads to.

    With ``--multi_backward sum`` all but the last have a backward pass more, which gives the next point.
    """
    return Passes(count, count + (count - 1 if args.multi_backward == "sum" else 0))


def union_passes(args: Any) -> Passes:
    """Passes over the texts of a batch and all their views, joined to one larger batch."""
    count = 1 + args.views_per_text
    return Passes(count, count)
