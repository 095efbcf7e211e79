"""Fickle views: random synonyms that should not change the prediction."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hf_robust.lexicons import Lexicon, random_substitutes
from hf_robust.views.view import View
from hf_robust.words import Protection, Text


@dataclass(frozen=True)
class RandomSynonyms:
    """SAFER's perturbation: every word is replaced by a uniform draw from its substitutes and itself, independently.

    Ye et al. 2020, Section 3.1. Every column is open. A view is ``ok`` iff some word changed under case folding
    (BAT-5); the substitute takes the case of the word it replaces, and everything between words stays as it is (X17).
    Words that ``protection`` closes stay too.
    """

    lexicon: Lexicon
    protection: Protection | None = None

    def __call__(self, text: Text, label: int | None, rng: random.Random) -> View:
        swaps = random_substitutes(self.lexicon, text, rng, self.protection.closed(text) if self.protection else ())
        return View(text.replace(swaps), bool(swaps), tuple(swaps))
