"""A view of an example, and the interface of view sources."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import NamedTuple, Protocol

from hf_robust.words import Text


class View(NamedTuple):
    """Another text of an example.

    Attributes:
        ok: whether training may use the view.
        changed: indices of the changed words.
        pairs: ``(index in the example, index in the view)`` of each word that one other word replaces. The word rule
            of ``text`` numbers the words here and in ``changed``.
        label: class id of the view if it differs from that of the example.
        soft: class probabilities that replace the label as the target.
        masked: positions of the tokens that the mask token replaces.
        failed: whether the attack failed; then ``text`` is a substitute, which may equal the text of the example.
    """

    text: Text
    ok: bool
    changed: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    label: int | None = None
    soft: tuple[float, ...] | None = None
    masked: tuple[int, ...] = ()
    failed: bool = False


class ViewSource(Protocol):
    """Draws a view of a text with label ``label``; the same state of ``rng`` gives the same view.

    ``read`` contains the indices of the words that the model reads; None means all words. A source changes only these
    words, because the model does not see a change after the cut.
    """

    def __call__(
        self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None
    ) -> View: ...
