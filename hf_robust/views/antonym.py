"""Obstinate views: one antonym that should change the prediction."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hf_robust.lexicons import Lexicon
from hf_robust.views.view import View
from hf_robust.words import Protection, Text, match_case


@dataclass(frozen=True)
class OneAntonym:
    """BAT's obstinate view: a random word that has antonyms, in a random column, becomes a random one of them.

    Chen et al. 2022, Section 4. The columns are tried in random order, the next one only where the first has no such
    word. Rows with a label in ``skip_labels`` (neutral, not duplicate: an antonym does not change them) and rows
    without such a word give the text itself with ``ok`` False. Words that ``protection`` closes stay.
    """

    lexicon: Lexicon
    skip_labels: frozenset[int] = frozenset()
    protection: Protection | None = None

    def __call__(self, text: Text, label: int | None, rng: random.Random) -> View:
        if label in self.skip_labels:
            return View(text, False, ())
        closed = self.protection.closed(text) if self.protection else ()
        places = [i for i, word in enumerate(text.words) if i not in closed and self.lexicon(word.text)]
        columns = list(range(len(text.columns)))
        rng.shuffle(columns)
        for column in columns:
            open_words = [i for i in places if text.words[i].column == column]
            if open_words:
                index = rng.choice(open_words)
                word = text.words[index].text
                return View(text.replace({index: match_case(rng.choice(self.lexicon(word)), word)}), True, (index,))
        return View(text, False, ())
