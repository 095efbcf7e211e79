"""SAFER's smoothing: the random draws of a vote, and how much the draws of two texts can differ."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from hf_robust.certify.rules import swap_shifts
from hf_robust.lexicons import (
    Lexicon,
    equal_draws,
    lexicon_coverage,
    random_substitutes,
    substitution_sets,
    unknown_words,
)
from hf_robust.lexicons.substitution import SubstitutionSets
from hf_robust.metrics import Coverage
from hf_robust.words import UNICODE_WORDS, Protection, Text, WordRule

logger = logging.getLogger(__name__)


class Smoothing:
    r"""A substitution table as the sampler of a vote and as the attacker that certificates refer to.

    Ye, Gong and Liu 2020, arXiv:2005.14424, Section 3. Let P_w be the word w and its substitutes in ``lexicon``, and
    N_w the words with which an attacker can replace w. A vote on text X draws every word from its P_w, uniformly and
    independently; on an attacked text X' it draws from the sets of the new words. The two draws can be coupled so that
    they are the same text with probability at least :math:`\prod_i q_{x_i}`, with

    .. math:: q_w = \min_{w' \in N_w} \sum_s \min(D_w(s), D_{w'}(s))
              = \min_{w' \in N_w} \frac{|P_w \cap P_{w'}|}{\max(|P_w|, |P_{w'}|)}

    where D_w is the uniform distribution on P_w. So the share of a class changes by at most
    :math:`1 - \prod_i q_{x_i}`. The overlap is computed over the drawn strings, in the case of the word that they
    replace: "I" and "iPhone" have no case pattern that a substitute could take and return.

    A certificate holds for this table and this word rule. It does not cover an attacker who swaps
    words that are not in the table, or who adds and removes words. No swap changes which words are parts of a
    separated contraction, and so have no substitutes.

    Differs from the paper, which divides by \|P_w\| only. This is correct if a set is as large as the sets of its
    neighbours, as in SAFER. If P_w' is larger, it certifies too much, since each word of P_w' is then drawn less often
    than the paper counts. Substitutes of several words (phrases) give q_w = 0, since the attacked text then has other
    words.

    Args:
        lexicon: w -> P_w without w.
        seed: seed of the draws.
        neighbours: w -> N_w, for an attacker with fewer words than the vote: SAFER certifies against words of
            similarity 0.8 and draws from whole components (``PerturbationSets.neighbours``). None for ``lexicon``. A
            word whose neighbours all have its own set has q_w = 1 (the official flag ``isdivide`` 0).
        protection: spans that neither the vote nor the attacker changes; None for none. The attacker's swaps neither
            create nor remove a protected span (as in `hf_robust.attacks.building.with_protection`), so a text and its
            attacked version have the same closed words, and the coupling holds for the other words.
        word_rule: the definition of a word, by the language of the texts.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        seed: int = 0,
        neighbours: Lexicon | None = None,
        protection: Protection | None = None,
        word_rule: WordRule = UNICODE_WORDS,
    ) -> None:
        self.word_rule = word_rule
        self.lexicon, self.seed, self.protection = lexicon, seed, protection
        self.neighbours = lexicon if neighbours is None else neighbours
        self._overlaps: dict[str, float] = {}

    needed = None
    """A certified text withstands the swap of all its words."""

    @property
    def source(self) -> str:
        """What changes the texts, for messages."""
        return f"the lexicon {self.lexicon.source}"

    def text(self, columns: Sequence[str]) -> Text:
        """A text with the words of the vote."""
        return Text(tuple(columns), self.word_rule)

    def sample(self, text: Text, number: int) -> Text:
        """Draw ``number`` of this text; it depends only on the seed, the text's columns and the number."""
        return self._drawn(text, self._sets(text), number)

    def _drawn(self, text: Text, sets: SubstitutionSets, number: int) -> Text:
        key = json.dumps([self.seed, number, *text.columns]).encode()
        rng = random.Random(hashlib.blake2b(key, digest_size=16).digest())
        return text.replace(random_substitutes(sets, rng))

    def draws(self, text: Text, votes: int) -> Counter[tuple[str, ...]]:
        """Columns of a text -> how often this text is among draws 0 to ``votes`` - 1 of ``text``."""
        sets = self._sets(text)
        if not sets:
            return Counter({text.columns: votes})
        return Counter(self._drawn(text, sets, number).columns for number in range(votes))

    def varies(self, text: Text) -> bool:
        """Whether a draw can differ from the text; if not, one forward pass gives the whole vote."""
        return bool(self._sets(text))

    def changeable(self, text: Text) -> list[int]:
        """Numbers of the words that the attacker can swap."""
        return list(self.swaps(text))

    def swaps(self, text: Text) -> SubstitutionSets:
        """The words that the attacker can put in place of each word that it can swap."""
        return substitution_sets(self.neighbours, text, self._closed(text))

    def coverage(self, texts: Iterable[Text]) -> Coverage:
        """Share of the unprotected words that the attacker can swap."""
        return lexicon_coverage(self.neighbours, texts, self.protection)

    def shifts(self, text: Text) -> list[float]:
        """Largest change of a share by 0, 1, ... swapped words."""
        return swap_shifts([self.overlap(text.tokens[index]) for index in self.changeable(text)])

    def slacks(self, text: Text) -> list[float]:
        """1 - q_w of every word of ``text``; 0 for a word that the attacker cannot replace."""
        changeable = set(self.changeable(text))
        return [1 - self.overlap(word) if index in changeable else 0.0 for index, word in enumerate(text.tokens)]

    def _sets(self, text: Text) -> SubstitutionSets:
        return substitution_sets(self.lexicon, text, self._closed(text))

    def _closed(self, text: Text) -> Collection[int]:
        return self.protection.closed(text) if self.protection else ()

    def overlap(self, word: str) -> float:
        """q_w of a word, in [0, 1]."""
        if word not in self._overlaps:
            draws = equal_draws(self.lexicon, word, self.word_rule)
            placed = dict.fromkeys(self.word_rule.substitutes(word, self.neighbours))
            self._overlaps[word] = min((self._shared(draws, new) for new in placed), default=1.0)
        return self._overlaps[word]

    def _shared(self, draws: Sequence[str], new: str) -> float:
        if not self.word_rule.is_one_word(new):
            return 0.0
        first, second = Counter(draws), Counter(equal_draws(self.lexicon, new, self.word_rule))
        sizes = len(draws), second.total()
        return sum(min(first[s] * sizes[1], second[s] * sizes[0]) for s in first) / (sizes[0] * sizes[1])

    def require_effect(self, texts: Sequence[Text]) -> None:
        """Raise if the attacker can swap no word of these texts, so that a certificate would be meaningless.

        Raises:
            ValueError: the table is empty, or the attacker can swap no word of any text.
        """
        if len(self.lexicon) == 0:
            raise ValueError(
                f"{self.source} is empty, so a certificate would only repeat the plain prediction; give a table of "
                "substitutes."
            )
        if texts and not any(self.changeable(text) for text in texts):
            raise ValueError(
                f"the lexicon {self.neighbours.source} has no word of the {len(texts)} texts, so there is nothing to "
                "certify; give a table that covers the texts."
            )
        if self.word_rule is UNICODE_WORDS:
            if sentence := unknown_words(self.lexicon, [text.columns for text in texts]):
                logger.warning("the vote: %s.", sentence)

    def describe(self) -> dict[str, Any]:
        """The entry in the run card; JSON-ready."""
        described: dict[str, Any] = {
            "lexicon": self.lexicon.describe(),
            "seed": self.seed,
            **self.word_rule.describe(),
        }
        if self.neighbours is not self.lexicon:
            described["neighbours"] = self.neighbours.describe()
        if self.protection:
            described["protected"] = self.protection.describe()
        return described

    def fingerprint(self) -> list[Any]:
        """Everything that draws and slacks depend on, for the name of a journal."""
        parts = [
            self.seed,
            self.lexicon.fingerprint(),
            self.neighbours.fingerprint(),
            *self.word_rule.describe().values(),
        ]
        return [*parts, self.protection.fingerprint()] if self.protection else parts
