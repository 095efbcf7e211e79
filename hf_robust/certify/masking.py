"""RanMASK's smoothing: votes over randomly masked words, certified for a number of changed words without a table."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

from hf_robust.metrics import Coverage
from hf_robust.words import UNICODE_WORDS, Protection, Text, WordRule

FEWEST_KEPT = 2
"""Words that a draw keeps at least, as in the official code: a vote on nothing but masks would certify any change."""


def kept_words(words: int, rate: float) -> int:
    r"""Number of words k that a draw keeps of a text of h ``words``, :math:`k = h - \lfloor\rho h\rceil`, at least 2.

    >>> [kept_words(words, 0.7) for words in (0, 1, 2, 4, 10)]
    [0, 1, 2, 2, 3]
    """
    return max(words - round(rate * words), min(words, FEWEST_KEPT))


def random_masks(words: Sequence[int], rate: float, rng: random.Random) -> list[int]:
    """The masked ones of these word numbers: all subsets of the right size are equally likely.

    Training, votes and certificates all draw with this function.
    """
    return sorted(rng.sample(list(words), len(words) - kept_words(len(words), rate)))


def mask_shifts(words: int, kept: int) -> list[float]:
    r"""Largest change of a share by 0, 1, ... ``words`` changed words.

    .. math:: \Delta_d = 1 - \binom{h-d}{k} / \binom{h}{k}
              = 1 - \prod_{j<d} \frac{h-k-j}{h-j}

    the probability that a draw keeps at least one of d given words: without one, the draws of both texts are equal.

    >>> [round(shift, 3) for shift in mask_shifts(4, 2)]
    [0.0, 0.5, 0.833, 1.0, 1.0]
    """
    factors = (max(0, words - kept - place) / (words - place) for place in range(words))
    return [1 - share for share in accumulate(factors, mul, initial=1.0)]


class RandomMasking:
    r"""Random masks as the sampler of a vote; certificates are for a number of changed words, whatever they become.

    Zeng et al. 2021, arXiv:2105.03743. A draw of a text of h words keeps k of them, all sets of k words being equally
    likely, and the mask token takes the place of the others. If x' differs from x in d words, the share p_c of a class
    among all draws changes by

    .. math:: p_c(x) - p_c(x') \le \beta\,\Delta_d,\qquad \Delta_d = 1 - \binom{h-d}{k}/ \binom{h}{k}

    where beta is the probability of class c given that the draw keeps one of the changed words.
    :class:`CertifySettings` says which beta is taken.

    An attacker may change d words into any others, also by characters, if each stays one word and no other character
    changes: adding and removing words is not covered. A model may cut texts: the bound holds for what it then reads.

    Args:
        mask_token: the mask token as the tokenizer reads it in a text.
        rate: share of the words that a draw masks [rho]; the paper takes 0.3 to 0.9.
        seed: seed of the draws.
        protection: spans that neither the vote nor the attacker changes; None for none. h counts the other words.
        word_rule: the definition of a word, by the language of the texts.

    Raises:
        ValueError: the rate does not lie between 0 and 1, or there is no mask token.
    """

    needed = 1
    """Number of changed words that a certified text withstands; the radius says for how many more it is certified."""

    def __init__(
        self,
        mask_token: str | None,
        rate: float,
        seed: int = 0,
        protection: Protection | None = None,
        word_rule: WordRule = UNICODE_WORDS,
    ) -> None:
        if not mask_token:
            raise ValueError(
                "a vote over masked words needs a tokenizer with a mask token, and this one has none; use a model "
                "that was pre-trained with one, such as BERT or RoBERTa, or a vote over substitutes."
            )
        if not 0 < rate < 1:
            raise ValueError(
                f"the share of masked words must lie between 0 and 1, got {rate:g}; the paper takes 0.3 to 0.9."
            )
        self.mask_token, self.rate, self.seed, self.protection = mask_token, rate, seed, protection
        self.word_rule = word_rule

    @property
    def source(self) -> str:
        """What changes the texts, for messages."""
        return f"a mask rate of {self.rate:g}"

    def text(self, columns: Sequence[str]) -> Text:
        """A text with the words of the vote."""
        return Text(tuple(columns), self.word_rule)

    def draws(self, text: Text, votes: int) -> Counter[tuple[str, ...]]:
        """Columns of a text -> how often this text is among draws 0 to ``votes`` - 1 of ``text``."""
        if not self.varies(text):
            return Counter({text.columns: votes})
        return Counter(self._drawn(text, number).columns for number in range(votes))

    def _drawn(self, text: Text, number: int) -> Text:
        key = json.dumps([self.seed, number, *text.columns]).encode()
        rng = random.Random(hashlib.blake2b(key, digest_size=16).digest())
        return text.replace(dict.fromkeys(random_masks(self.changeable(text), self.rate, rng), self.mask_token))

    def varies(self, text: Text) -> bool:
        """Whether a draw masks a word of the text."""
        words = len(self.changeable(text))
        return kept_words(words, self.rate) < words

    def changeable(self, text: Text) -> list[int]:
        """Numbers of the words that the vote may mask and the attacker may change."""
        closed = self.protection.closed(text) if self.protection else ()
        return [index for index in range(len(text.words)) if index not in closed]

    def shifts(self, text: Text) -> list[float]:
        """Largest change of a share by 0, 1, ... changed words (beta 1)."""
        words = len(self.changeable(text))
        return mask_shifts(words, kept_words(words, self.rate))

    def coverage(self, texts: Iterable[Text]) -> Coverage:
        """Share of the unprotected words that the attacker can change: all of them."""
        counts = [len(self.changeable(text)) for text in texts]
        return Coverage.of((count, count) for count in counts)

    def require_effect(self, texts: Sequence[Text]) -> None:
        """Raise if no change of a word of these texts can be certified, whatever the votes.

        Raises:
            ValueError: a draw keeps each word of each text with a probability above 1/2, so that the change of one
                word may turn over a unanimous vote.
        """
        if texts and all(self.shifts(text)[1:2] > [0.5] for text in texts if text.words):
            raise ValueError(
                f"{self.source} keeps more than half of the words of each of the {len(texts)} texts (and at least "
                f"{FEWEST_KEPT}), so that not even a unanimous vote certifies the change of one word: mask more than "
                "half of them (--vote_mask_rate, best with a model that was trained so)."
            )

    def describe(self) -> dict[str, Any]:
        """The entry in the run card; JSON-ready."""
        described: dict[str, Any] = {"mask_rate": self.rate, "seed": self.seed, **self.word_rule.describe()}
        return {**described, "protected": self.protection.describe()} if self.protection else described

    def fingerprint(self) -> list[Any]:
        """Everything that draws and shifts depend on, for the name of a journal."""
        parts: list[Any] = [self.seed, "mask", self.mask_token, self.rate, *self.word_rule.describe().values()]
        return [*parts, self.protection.fingerprint()] if self.protection else parts
