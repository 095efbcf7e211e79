"""Views of a number of texts at once, for measuring."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple

from hf_robust.views.dataset import Texts, encode_view
from hf_robust.views.view import ViewSource
from hf_robust.words import Text


class DrawnViews(NamedTuple):
    """Texts with both of their views, as columns, in one order."""

    originals: list[tuple[str, ...]]
    fickle: list[tuple[str, ...]]
    obstinate: list[tuple[str, ...]]


def draw_views(
    dataset: Texts, rows: Iterable[int], fickle: ViewSource, obstinate: ViewSource, limit: int, seed: int = 0
) -> DrawnViews:
    """The first ``limit`` of ``rows`` that have a fickle and an obstinate view, and these views.

    A text without either is passed over, so the obstinate source's ``skip_labels`` (neutral) leave theirs out; so is
    one whose view has the same tokens, since nothing lies between these.
    """
    rng, drawn = random.Random(seed), DrawnViews([], [], [])
    for row in rows:
        text, label, read = Text(dataset.texts(row)), dataset.label(row), dataset.read_words(row)
        views = fickle(text, label, rng, read), obstinate(text, label, rng, read)
        own = dataset[row]["input_ids"]
        if all(view.ok and encode_view(dataset, view)["input_ids"] != own for view in views):
            for kept, view in zip(drawn, (text, *(view.text for view in views)), strict=True):
                kept.append(view.columns)
        if len(drawn.originals) >= limit:
            break
    return drawn
