"""SAFER's smoothing: what a vote draws, and how far two texts' draws can differ."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from hf_robust.lexicons import Lexicon, equal_draws, lexicon_coverage, random_substitutes, substitution_sets
from hf_robust.lexicons.substitution import Sets
from hf_robust.metrics import Coverage
from hf_robust.words import UNICODE_WORDS, Protection, Text


class Smoothing:
    r"""One table both as the sampler of a vote and as the attacker whom its certificates are about.

    Ye, Gong and Liu 2020, arXiv:2005.14424, Section 3. Let P_w be the word w and its substitutes in ``lexicon``, and
    N_w what an attacker may put in place of w. A vote on text X draws every word from its P_w, uniformly and
    independently; on an attacked text X' it draws from the sets of the new words. The two draws can be coupled so that
    they are the same text with probability :math:`\prod_i q_{x_i}` at least, with

    .. math:: q_w = \min_{w' \in N_w} \sum_s \min(D_w(s), D_{w'}(s))
              = \min_{w' \in N_w} \frac{|P_w \cap P_{w'}|}{\max(|P_w|, |P_{w'}|)}

    where D_w is the uniform distribution on P_w. So no class's share of the draws changes by more than
    :math:`1 - \prod_i q_{x_i}`. The overlap is taken over the strings as they are drawn, in the case of the word that
    they replace: "I" and "iPhone" have no pattern of case that a substitute could take and give back.

    A certificate is relative to this table and this way of cutting words, ``UnicodeWords``: an attacker who
    swaps words that the table does not have, or who adds and removes words, is another one. Which words are
    part of a contraction that stands apart, and so have no substitutes, no swap changes.

    Differs from the paper: it divides by \|P_w\| alone. That is right where all sets are as large as their attacker's,
    as SAFER's are; where P_w' is the larger one it certifies too much, since each word of P_w' is then drawn less
    often than the paper counts. Substitutes that are not one word (phrases) make q_w = 0: the attacked text then has
    other words.

    Args:
        lexicon: w -> the others of P_w.
        seed: of the draws.
        protection: what neither the vote nor the attacker changes; None for nothing. The attacker's swaps make and
            break no protected span (as `hf_robust.attacks.building.shielded` has it), so that a text and an attacked
            one have the same words closed, and the coupling holds over the others.
        neighbours: w -> N_w, where the attacker has fewer words than the vote: SAFER certifies against the words of
            similarity 0.8 and draws from whole components (``PerturbationSets.neighbours``). None: the same table. A
            word whose neighbours all have its own set has q_w = 1 (the official flag ``isdivide`` 0).
    """

    def __init__(
        self,
        lexicon: Lexicon,
        seed: int = 0,
        neighbours: Lexicon | None = None,
        protection: Protection | None = None,
    ) -> None:
        self.lexicon, self.seed, self.protection = lexicon, seed, protection
        self.neighbours = lexicon if neighbours is None else neighbours
        self._overlaps: dict[str, float] = {}

    def sample(self, text: Text, number: int) -> Text:
        """Draw ``number`` for this text; it depends on nothing but the seed, the text's columns and the number."""
        return self._drawn(text, self._sets(text), number)

    def _drawn(self, text: Text, sets: Sets, number: int) -> Text:
        key = json.dumps([self.seed, number, *text.columns]).encode()
        rng = random.Random(hashlib.blake2b(key, digest_size=16).digest())
        return text.replace(random_substitutes(sets, rng))

    def draws(self, text: Text, votes: int) -> Counter[tuple[str, ...]]:
        """How often each text, given as its columns, is among draws 0 to ``votes`` - 1 for ``text``."""
        sets = self._sets(text)
        if not sets:
            return Counter({text.columns: votes})
        return Counter(self._drawn(text, sets, number).columns for number in range(votes))

    def varies(self, text: Text) -> bool:
        """Whether a draw may be another text; else one forward is the whole vote."""
        return bool(self._sets(text))

    def changeable(self, text: Text) -> list[int]:
        """The indices of the words that the attacker can swap."""
        return list(substitution_sets(self.neighbours, text, self._closed(text)))

    def coverage(self, texts: Iterable[Text]) -> Coverage:
        """The words that the attacker can swap among those that are not protected."""
        return lexicon_coverage(self.neighbours, texts, self.protection)

    def slacks(self, text: Text) -> list[float]:
        """1 - q_w of every word of ``text``: 0 where the attacker can put nothing in its place."""
        changeable = set(self.changeable(text))
        return [1 - self.overlap(word) if index in changeable else 0.0 for index, word in enumerate(text.tokens)]

    def _sets(self, text: Text) -> Sets:
        return substitution_sets(self.lexicon, text, self._closed(text))

    def _closed(self, text: Text) -> Collection[int]:
        return self.protection.closed(text) if self.protection else ()

    def overlap(self, word: str) -> float:
        """q_w, in [0, 1]."""
        if word not in self._overlaps:
            own = equal_draws(self.lexicon, word)
            placed = dict.fromkeys(UNICODE_WORDS.substitutes(word, self.neighbours))
            self._overlaps[word] = min((self._shared(own, new) for new in placed), default=1.0)
        return self._overlaps[word]

    def _shared(self, own: Sequence[str], new: str) -> float:
        if not UNICODE_WORDS.is_one_word(new):
            return 0.0
        first, second = Counter(own), Counter(equal_draws(self.lexicon, new))
        sizes = len(own), second.total()
        return sum(min(first[s] * sizes[1], second[s] * sizes[0]) for s in first) / (sizes[0] * sizes[1])

    def describe(self) -> dict[str, Any]:
        """What the run card says about it; JSON-ready."""
        own: dict[str, Any] = {"lexicon": self.lexicon.describe(), "seed": self.seed, "word_rule": UNICODE_WORDS.name}
        if self.neighbours is not self.lexicon:
            own["neighbours"] = self.neighbours.describe()
        if self.protection:
            own["protected"] = self.protection.describe()
        return own

    def fingerprint(self) -> list[Any]:
        """What decides the draws and the slacks, for the name of a journal."""
        own = [self.seed, self.lexicon.fingerprint(), self.neighbours.fingerprint(), UNICODE_WORDS.name]
        return [*own, self.protection.fingerprint()] if self.protection else own


def require_substitutes(smoothing: Smoothing, texts: Sequence[Text]) -> None:
    """Check that a certificate can say something about these texts.

    Raises:
        ValueError: the table is empty, or the attacker can swap no word of any text.
    """
    if len(smoothing.lexicon) == 0:
        raise ValueError(
            f"the lexicon {smoothing.lexicon.source} is empty, so a certificate against it says no more than the "
            "plain prediction; give a table of substitutes."
        )
    if texts and not any(smoothing.changeable(text) for text in texts):
        raise ValueError(
            f"the lexicon {smoothing.neighbours.source} has no word of the {len(texts)} texts, so there is nothing to "
            "certify; give a table that covers them."
        )
