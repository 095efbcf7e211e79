"""Fickle views: random synonyms that should not change the prediction."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from hf_robust.lexicons import Lexicon, random_substitutes, substitution_sets
from hf_robust.views.view import View
from hf_robust.words import Protection, Text


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
