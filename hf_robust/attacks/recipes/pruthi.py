"""The pruthi attack: one typo inside one word, tried at every position of every word."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import AnyOf
from hf_robust.attacks.parts.characters import Misspell, delete, insert, next_keys, swap_neighbours
from hf_robust.attacks.parts.constraints import MaxChangedWords, MinWordLength, NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.search import Beam
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def pruthi(resources: Resources) -> Attack:
    r"""Pruthi et al. 2019 (arXiv:1905.11268), section 5, as TextAttack 0.3.11 has it.

    .. math:: x' = \arg\max_{t \in T(x)} \; 1 - p_y(t)

    T(x) are all texts with one typo in one word of at least 4 characters: two neighbouring characters are swapped, one
    is deleted, one is inserted, or one becomes a letter of a key beside it on a QWERTY keyboard. The first and last
    character stay, and so do NLTK's stop words. A text costs all of T(x), about 20 queries for each such word.

    Differs from the paper, as TextAttack does: one random letter is inserted at each position (the paper tries all),
    and the paper also reports two typos.

    Raises:
        ValueError: NLTK's stop words are missing.
    """
    edits = [Misspell(edit, inner=True, every=True) for edit in (swap_neighbours, delete, insert, next_keys)]
    constraints = [MinWordLength(4), resources.no_stop_words("pruthi"), MaxChangedWords(count=1), NoRepeat()]
    return Attack(
        name="pruthi",
        goal=Misclassify(),
        candidates=AnyOf(edits),
        constraints=resources.with_columns(*constraints),
        search=Beam(1),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
