"""Fickle views: random synonyms that should not change the prediction."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hf_robust.lexicons import Lexicon
from hf_robust.views.view import View
from hf_robust.words import Text, match_case


@dataclass(frozen=True)
class RandomSynonyms:
    """SAFER's perturbation: every word is replaced by a uniform draw from its substitutes and itself, independently.

    Ye et al. 2020, Section 3.1. Every column is open. A view is ``ok`` iff some word changed under case folding
    (BAT-5); the substitute takes the case of the word it replaces, and everything between words stays as it is (X17).
    """

    lexicon: Lexicon

    def __call__(self, text: Text, label: int | None, rng: random.Random) -> View:
        swaps: dict[int, str] = {}
        for index, word in enumerate(text.words):
            substitutes = self.lexicon(word.text)
            if not substitutes:
                continue
            draw = rng.randrange(len(substitutes) + 1)
            if draw:
                swaps[index] = match_case(substitutes[draw - 1], word.text)
        return View(text.replace(swaps), bool(swaps), tuple(swaps))
