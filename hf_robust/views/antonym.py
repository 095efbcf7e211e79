"""Obstinate views: one antonym that should change the prediction."""

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
    """BAT's obstinate view: a random word that has antonyms, in a random column, becomes a random one of them.

    Chen et al. 2022, Section 4. The columns are tried in random order, the next one only where the first has no such
    word. Rows with a label in ``skip_labels`` (neutral, not duplicate: an antonym does not change them) and rows
    without such a word give the text itself with ``ok`` False. Words that ``protection`` closes stay.

    Stop words are words here, as in the authors' code, but not in their attack: of the views of the authors' tables
    32 % (MRPC) to 50 % (QQP) change a word like "is" (differ) or "do" (unmake). :class:`AttackedAntonym` is the
    attack's own rule.
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
            found = {index: antonyms for index in inside if (antonyms := text.substitutes(index, self.lexicon))}
            if found:
                index = rng.choice(list(found))
                return View(text.replace({index: rng.choice(found[index])}), True, (index,))
        return View(text, False, ())


class AttackedAntonym:
    """An obstinate view that the antonym attack could make: a random one of its words becomes a random candidate.

    Which words are open (stop words, columns) and which substitutes are admitted (part of speech) is asked of the
    attack itself. Labels and texts without a candidate as in :class:`OneAntonym`.

    Args:
        attack: the antonym attack.
        plans: what it keeps of each text, shared with the attack that measures.
    """

    def __init__(self, attack: Attack, plans: Plans, skip_labels: frozenset[int] = frozenset()) -> None:
        self.attack, self.skip_labels = attack, skip_labels
        self._plans, self._plan = plans, plans.planner(attack)

    def open_words(self, text: Text) -> set[int]:
        """Numbers of the words that the attack may change where they have an antonym."""
        return self.attack.open_words(Draft(text))

    def candidates(self, text: Text) -> Mapping[int, Sequence[str]]:
        """What each word may become, by its number; planned at the first call for a text."""
        return self._plan(Example(0, text.columns, 0)).swaps

    def prepare(
        self, texts: Iterable[tuple[Text, int | None, Collection[int] | None]], total: int, progress: bool = False
    ) -> int:
        """Plan all texts, given with their labels and the words that are read, and keep that on disk.

        Returns how many of them have a candidate for a word that is read.

        Asking a part-of-speech tagger takes milliseconds for a text, and loader workers would do it in every epoch.
        """
        rows = tqdm(texts, "antonyms of each text", total=total, disable=not progress, leave=False)
        found = sum(label not in self.skip_labels and bool(self._read(text, read)) for text, label, read in rows)
        self._plans.save()
        return found

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        if label in self.skip_labels:
            return View(text, False, ())
        swaps = self._read(text, read)
        if not swaps:
            return View(text, False, ())
        index = rng.choice(sorted(swaps))
        return View(text.replace({index: rng.choice(swaps[index])}), True, (index,))

    def _read(self, text: Text, read: Collection[int] | None) -> dict[int, Sequence[str]]:
        """The candidates of the words that are read."""
        return {at: found for at, found in self.candidates(text).items() if read is None or at in read}
