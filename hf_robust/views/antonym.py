"""Obstinate views: one antonym, which should change the prediction."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from hf_robust.attacks import Attack, Example, Plans
from hf_robust.attacks.engine.draft import Draft
from hf_robust.lexicons import Lexicon
from hf_robust.views.view import View
from hf_robust.words import Protection, Text


@dataclass(frozen=True)
class OneAntonym:
    """BAT's obstinate view: a random antonym replaces a random word that has antonyms, in a random column.

    Chen et al. 2022, Section 4. The source tries the columns in random order and takes the first one with such a word.
    The view is the text itself with ``ok`` False if no word has an antonym, or if the label is in ``skip_labels``
    (labels that an antonym leaves true: neutral, not duplicate). Words under ``protection`` do not change.

    Stop words may change too, as in the authors' training code, but not in their attack: with the authors' tables 32 %
    (MRPC) to 50 % (QQP) of the views change a word like "is" (differ) or "do" (unmake). :class:`AttackedAntonym`
    follows the rule of the attack.
    """

    lexicon: Lexicon
    skip_labels: frozenset[int] = frozenset()
    protection: Protection | None = None

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        if label in self.skip_labels:
            return View(text, False, ())
        closed = self.protection.closed(text) if self.protection else ()
        columns = list(range(len(text.columns)))
        rng.shuffle(columns)
        for column in columns:
            inside = (
                index
                for index, word in enumerate(text.words)
                if word.column == column and index not in closed and (read is None or index in read)
            )
            candidates = {index: antonyms for index in inside if (antonyms := text.substitutes(index, self.lexicon))}
            if candidates:
                index = rng.choice(list(candidates))
                return View(text.replace({index: rng.choice(candidates[index])}), True, (index,))
        return View(text, False, ())


class AttackedAntonym:
    """Obstinate view that the antonym attack could make: a random candidate of a random word replaces the word.

    The attack itself decides which words may change (stop words, columns) and which substitutes are allowed (part of
    speech). Skipped labels and texts without a candidate are treated as in :class:`OneAntonym`.

    Args:
        attack: the antonym attack.
        plans: the attack's plans of the texts, shared with the attack that measures the model.
    """

    def __init__(self, attack: Attack, plans: Plans, skip_labels: frozenset[int] = frozenset()) -> None:
        self.attack, self.skip_labels = attack, skip_labels
        self._plans, self._plan = plans, plans.planner(attack)

    def open_words(self, text: Text) -> set[int]:
        """Indices of the words that the attack may change if they have an antonym."""
        return self.attack.open_words(Draft(text))

    def candidates(self, text: Text) -> Mapping[int, Sequence[str]]:
        """Candidates of each word by its index; the first call for a text plans them."""
        return self._plan(Example(0, text.columns, 0)).swaps

    def prepare(
        self, texts: Iterable[tuple[Text, int | None, Collection[int] | None]], total: int, progress: bool = False
    ) -> int:
        """Plan all texts and store the plans on disk; returns the number of texts with a candidate.

        A part-of-speech tagger takes milliseconds for a text; without stored plans the loader workers would call it
        in each epoch.

        Args:
            texts: texts with their labels and the words that the model reads; candidates of other words do not count.
            total: number of texts, for the progress bar.
        """
        rows = tqdm(texts, "antonyms of each text", total=total, disable=not progress, leave=False)
        covered = sum(label not in self.skip_labels and bool(self._readable(text, read)) for text, label, read in rows)
        self._plans.save()
        return covered

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        if label in self.skip_labels:
            return View(text, False, ())
        swaps = self._readable(text, read)
        if not swaps:
            return View(text, False, ())
        index = rng.choice(sorted(swaps))
        return View(text.replace({index: rng.choice(swaps[index])}), True, (index,))

    def _readable(self, text: Text, read: Collection[int] | None) -> dict[int, Sequence[str]]:
        """The candidates of the words that the model reads."""
        return {word: swaps for word, swaps in self.candidates(text).items() if read is None or word in read}
