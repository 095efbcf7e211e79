"""What a view of an example is."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import NamedTuple, Protocol

from hf_robust.words import Text


class View(NamedTuple):
    """Another text of an example: ``ok`` says whether it may be trained on, ``changed`` which words differ.

    Attributes:
        pairs: ``(index in the example, index in the view)`` of each word that one other word stands for. Words
            are numbered by the rule of ``text`` here and in ``changed``.
        label: class id of the view where it is not the example's.
        soft: class probabilities to learn in place of the label.
        masked: positions of tokens that become the tokenizer's mask token.
        failed: the attack failed, and ``text`` is what stands for the text that it did not find; it may be the
            example's own.
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
    """Draws a view of a text whose label is ``label``; the same ``rng`` state gives the same view.

    ``read`` names the words that the model reads of it, by number; None where it reads all. A source that changes
    words changes these alone: a change behind the cut is no change.
    """

    def __call__(
        self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None
    ) -> View: ...
