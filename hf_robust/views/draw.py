"""Views of a number of texts at once, for measuring."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple

from hf_robust.views.view import ViewSource
from hf_robust.words import Text


class DrawnViews(NamedTuple):
    """Texts with both of their views, as columns, in one order."""

    originals: list[tuple[str, ...]]
    fickle: list[tuple[str, ...]]
    obstinate: list[tuple[str, ...]]


def draw_views(
    texts: Iterable[tuple[Text, int | None]], fickle: ViewSource, obstinate: ViewSource, limit: int, seed: int = 0
) -> DrawnViews:
    """The first ``limit`` texts, with their labels, that have a fickle and an obstinate view, and these views.

    A text without either is passed over, so the obstinate source's ``skip_labels`` (neutral) leave theirs out.
    """
    rng, drawn = random.Random(seed), DrawnViews([], [], [])
    for text, label in texts:
        views = fickle(text, label, rng), obstinate(text, label, rng)
        if all(view.ok for view in views):
            for kept, view in zip(drawn, (text, *(view.text for view in views)), strict=True):
                kept.append(view.columns)
        if len(drawn.originals) >= limit:
            break
    return drawn
