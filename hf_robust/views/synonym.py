"""Fickle views: random synonyms that should not change the prediction.

Views of a number of texts at once, for measuring.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from hf_robust.lexicons import Lexicon, random_substitutes, substitution_sets
from hf_robust.views.dataset import Texts, encode_view
from hf_robust.views.view import View, ViewSource
from hf_robust.words import Protection, Text


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


@dataclass(frozen=True)
class RandomSynonyms:
    """SAFER's perturbation: every word is replaced by a uniform draw from its substitutes and itself, independently.

    Ye et al. 2020, Section 3.1. Every column is open. A view is ``ok`` iff some word changed under case folding;
    the substitute is written as the word it replaces, and everything between words stays as it is.
    Words that ``protection`` closes stay too.
    """

    lexicon: Lexicon
    protection: Protection | None = None

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        closed = self.protection.closed(text) if self.protection else ()
        drawn = random_substitutes(substitution_sets(self.lexicon, text, closed), rng)
        swaps = {index: new for index, new in drawn.items() if read is None or index in read}
        return View(text.replace(swaps), bool(swaps), tuple(swaps))
