"""What a view of an example is."""

from __future__ import annotations

import random
from typing import NamedTuple, Protocol

from hf_robust.words import Text


class View(NamedTuple):
    """Another text of an example: ``ok`` says whether it may be trained on, ``changed`` which words differ."""

    text: Text
    ok: bool
    changed: tuple[int, ...]


class ViewSource(Protocol):
    """Draws a view of a text whose label is ``label``; the same ``rng`` state gives the same view."""

    def __call__(self, text: Text, label: int | None, rng: random.Random) -> View: ...
