"""Obstinate views: one antonym that should change the prediction."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hf_robust.lexicons import Lexicon
from hf_robust.views.view import View
from hf_robust.words import Text


@dataclass(frozen=True)
class OneAntonym:
    """BAT's obstinate view: a random word that has antonyms, in a random column, becomes a random one of them.

    Chen et al. 2022, Section 4. The columns are tried in random order, the next one only where the first has no such
    word. Rows with a label in ``skip_labels`` (neutral, not duplicate: an antonym does not change them) and rows
    without such a word give the text itself with ``ok`` False.
    """

    lexicon: Lexicon
    skip_labels: frozenset[int] = frozenset()

    def __call__(self, text: Text, label: int | None, rng: random.Random) -> View:
        if label in self.skip_labels:
            return View(text, False, ())
        columns = list(range(len(text.columns)))
        rng.shuffle(columns)
        for column in columns:
            inside = (index for index, word in enumerate(text.words) if word.column == column)
            found = {index: antonyms for index in inside if (antonyms := text.substitutes(index, self.lexicon))}
            if found:
                index = rng.choice(list(found))
                return View(text.replace({index: rng.choice(found[index])}), True, (index,))
        return View(text, False, ())
