"""The homoglyphs attack: letters become letters that look the same, where differential evolution places them.

The invisible_characters attack: zero-width characters are inserted, where differential evolution places them.

The deletion_characters attack: a character and a backspace that deletes it are inserted; search as for homoglyphs.

The reordering_characters attack: neighbours are exchanged and shown in their old order; search as for homoglyphs.
"""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.bad_characters import (
    BadCharacters,
    Deletions,
    Homoglyphs,
    InvisibleCharacters,
    Reorderings,
)
from hf_robust.attacks.parts.differential_evolution import DifferentialEvolution
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def homoglyphs(resources: Resources) -> Attack:
    """Boucher et al. 2022 (arXiv:2106.09898): characters become others that look the same (``INTENTIONAL``).

    As all four attacks of the paper: ``--num_bad_characters`` places are perturbed, which differential evolution with
    a population of 32 for each number and 10 generations chooses (``DifferentialEvolution``); the text of the highest
    score is the result. Nothing but characters is counted: no word is closed, no similarity is asked for.

    It has the parts of TextAttack 0.3.11's BadCharacters2021 and, with the same seed, its results. TextAttack's recipe
    has targeted goals only; here the goal is to change the prediction. TextAttack joins the columns of a pair and
    fails; here each open column is perturbed. The table is in the package; TextAttack's wheel lacks it.
    """
    return _recipe("homoglyphs", Homoglyphs(resources.num_bad_characters), resources)


def invisible_characters(resources: Resources) -> Attack:
    """Boucher et al. 2022: zero-width characters are inserted; search and budget are those of ``homoglyphs``.

    BERT's and many other tokenizers drop these characters. If the model then reads the clean tokens in every text, the
    attack is refused; if in some, these count as texts without a candidate.
    """
    return _recipe("invisible_characters", InvisibleCharacters(resources.num_bad_characters), resources)


def deletion_characters(resources: Resources) -> Attack:
    """Boucher et al. 2022: a character and a backspace that deletes it; search and budget are those of ``homoglyphs``.

    A tokenizer that drops control characters, as BERT's does, leaves the added character.
    """
    return _recipe("deletion_characters", Deletions(resources.num_bad_characters), resources)


def reordering_characters(resources: Resources) -> Attack:
    """Boucher et al. 2022: neighbouring characters are exchanged, and controls of the bidirectional algorithm show
    them in their old order; search and budget are those of ``homoglyphs``.

    A tokenizer that drops these controls, as BERT's does, leaves the exchanged characters.
    """
    return _recipe("reordering_characters", Reorderings(resources.num_bad_characters), resources)


def _recipe(name: str, source: BadCharacters, resources: Resources) -> Attack:
    return Attack(
        name=name,
        goal=Misclassify(),
        candidates=source,
        constraints=resources.with_columns(),
        search=DifferentialEvolution(),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
