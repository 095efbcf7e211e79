"""SAFER's random substitution of words, used in training, votes and certificates."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from hf_robust.lexicons.base import Lexicon
from hf_robust.words import UNICODE_WORDS, Text, WordRule

SubstitutionSets = Mapping[int, Sequence[str]]
"""Word number -> substitutes, without the word itself; words without substitutes are left out."""


def substitution_sets(lexicon: Lexicon, text: Text, closed: Collection[int] = ()) -> dict[int, list[str]]:
    """The substitutes of each word of ``text`` that has substitutes and is not ``closed``."""
    chosen = (index for index in range(len(text.words)) if index not in closed)
    pairs = ((index, text.substitutes(index, lexicon)) for index in chosen)
    return {index: substitutes for index, substitutes in pairs if substitutes}


def random_substitutes(sets: SubstitutionSets, rng: random.Random) -> dict[int, str]:
    """Word number -> new word: replaces every word by a uniform draw from its substitutes and itself.

    Ye et al. 2020, arXiv:2005.14424, Section 3.1: words are drawn independently; a word that does not change has no
    entry. Training, votes and certificates all draw with this function, so they share one table and one word rule.
    """
    swaps: dict[int, str] = {}
    for index, substitutes in sets.items():
        draw = rng.randrange(len(substitutes) + 1)
        if draw:
            swaps[index] = substitutes[draw - 1]
    return swaps


def equal_draws(lexicon: Lexicon, word: str, rule: WordRule = UNICODE_WORDS) -> list[str]:
    """The equally likely draws of :func:`random_substitutes` for ``word``, the word itself first.

    Two substitutes that differ only in case can give the same string twice, which is then drawn twice as often.
    """
    return [word, *rule.substitutes(word, lexicon)]
