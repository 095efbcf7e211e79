"""SAFER's perturbation: random substitutes in a text, which training draws, votes count and certificates bound."""

from __future__ import annotations

import random
from collections.abc import Collection

from hf_robust.lexicons.base import Lexicon
from hf_robust.words import Text, match_case


def random_substitutes(
    lexicon: Lexicon, text: Text, rng: random.Random, closed: Collection[int] = ()
) -> dict[int, str]:
    """New words by index: every word of ``text`` but the ``closed`` ones is replaced by a uniform draw from its
    substitutes and itself.

    Ye et al. 2020, arXiv:2005.14424, Section 3.1: all words independently, a word that stays has no entry. A
    substitute takes the case of the word that it replaces. Training, voting and certifying draw by this function
    alone, so that they share one table and one tokenisation (SAFER-4).
    """
    swaps: dict[int, str] = {}
    for index, word in enumerate(text.words):
        substitutes = () if index in closed else lexicon(word.text)
        if not substitutes:
            continue
        draw = rng.randrange(len(substitutes) + 1)
        if draw:
            swaps[index] = match_case(substitutes[draw - 1], word.text)
    return swaps


def equal_draws(lexicon: Lexicon, word: str) -> list[str]:
    """What :func:`random_substitutes` may leave in the place of ``word``, each draw as likely as the others.

    The word itself comes first. Two substitutes that differ in case alone may give the same string twice, which is
    then drawn twice as often.
    """
    return [word, *(match_case(other, word) for other in lexicon(word))]
