"""Fickle views: random synonyms, which should not change the prediction; and pairs of views for measuring."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hf_robust.lexicons import Lexicon, random_substitutes, substitution_sets
from hf_robust.views.dataset import Texts, encode_view
from hf_robust.views.view import View, ViewSource
from hf_robust.words import Protection, Text


@dataclass(frozen=True)
class RandomSynonyms:
    """SAFER's perturbation: each word is replaced independently by a uniform draw from its substitutes and itself.

    Ye et al. 2020, Section 3.1. Words of all columns may change, except those under ``protection``. A view is ``ok``
    if at least one word changed under case folding. A substitute takes the capitalisation of the word that it
    replaces, and the characters between words stay the same.
    """

    lexicon: Lexicon
    protection: Protection | None = None

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        closed = self.protection.closed(text) if self.protection else ()
        drawn = random_substitutes(substitution_sets(self.lexicon, text, closed), rng)
        swaps = {index: new for index, new in drawn.items() if read is None or index in read}
        return View(text.replace(swaps), bool(swaps), tuple(swaps))


class DrawnViews(NamedTuple):
    """Columns of texts and of both their views; the three lists have the same order."""

    originals: list[tuple[str, ...]]
    fickle: list[tuple[str, ...]]
    obstinate: list[tuple[str, ...]]


def draw_views(
    dataset: Texts, rows: Iterable[int], fickle: ViewSource, obstinate: ViewSource, limit: int, seed: int = 0
) -> DrawnViews:
    """The first ``limit`` texts of ``rows`` that have a fickle and an obstinate view, with these views."""
    drawn = DrawnViews([], [], [])
    for _, texts in each_with_views(dataset, rows, fickle, obstinate, limit, seed):
        for columns, text in zip(drawn, texts, strict=True):
            columns.append(text)
    return drawn


def each_with_views(
    dataset: Texts, rows: Iterable[int], fickle: ViewSource, obstinate: ViewSource, limit: int, seed: int = 0
) -> Iterator[tuple[int, tuple[tuple[str, ...], ...]]]:
    """Yield the row number, and the columns of the text, its fickle and its obstinate view, of ``limit`` texts.

    A text is skipped if one of its views is missing (for example, because its label is in the ``skip_labels`` of the
    obstinate source) or has the same tokens as the text.
    """
    rng, found = random.Random(seed), 0
    for row in rows:
        text, label, read = dataset.text(row), dataset.label(row), dataset.read_words(row)
        views = fickle(text, label, rng, read), obstinate(text, label, rng, read)
        tokens = dataset[row]["input_ids"]
        if all(view.ok and encode_view(dataset, view)["input_ids"] != tokens for view in views):
            yield row, (text.columns, *(view.text.columns for view in views))
            found += 1
        if found >= limit:
            break
