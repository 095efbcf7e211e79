"""SAFER's perturbation: random substitutes in a text, which training draws, votes count and certificates bound."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from hf_robust.lexicons.base import Lexicon
from hf_robust.words import UNICODE_WORDS, Text

Sets = Mapping[int, Sequence[str]]
"""By index the words that a word may become, itself left out; nothing for a word that stays."""


def substitution_sets(lexicon: Lexicon, text: Text, closed: Collection[int] = ()) -> dict[int, list[str]]:
    """The substitutes of each word of ``text`` that has any and is not ``closed``."""
    chosen = (index for index in range(len(text.words)) if index not in closed)
    found = ((index, text.substitutes(index, lexicon)) for index in chosen)
    return {index: substitutes for index, substitutes in found if substitutes}


def random_substitutes(sets: Sets, rng: random.Random) -> dict[int, str]:
    """New words by index: every word is replaced by a uniform draw from its substitutes and itself.

    Ye et al. 2020, arXiv:2005.14424, Section 3.1: all words independently, a word that stays has no entry. A
    substitute is written as the word that it replaces. Training, voting and certifying draw by this function alone,
    so that they share one table and one tokenisation.
    """
    swaps: dict[int, str] = {}
    for index, substitutes in sets.items():
        draw = rng.randrange(len(substitutes) + 1)
        if draw:
            swaps[index] = substitutes[draw - 1]
    return swaps


def equal_draws(lexicon: Lexicon, word: str) -> list[str]:
    """What :func:`random_substitutes` may leave in the place of ``word``, each draw as likely as the others.

    The word itself comes first. Two substitutes that differ in case alone may give the same string twice, which is
    then drawn twice as often.
    """
    return [word, *UNICODE_WORDS.substitutes(word, lexicon)]
