"""The deepwordbug attack: misspell important words, one character each."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import AnyOf
from hf_robust.attacks.parts.characters import Misspell, delete, insert, substitute, swap_neighbours
from hf_robust.attacks.parts.constraints import MaxEditDistance, NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_unknown
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def deepwordbug(resources: Resources) -> Attack:
    """Gao et al. 2018 (arXiv:1801.04354), as TextAttack 0.3.11 has it.

    One character of a word is swapped, replaced, deleted or inserted at a random position; at most 30 characters of
    the text change. Words are ranked by replacing them with ``[UNK]``; the paper's scores exist for its recurrent
    models only.

    Raises:
        ValueError: NLTK's stop words are missing.
    """
    constraints = resources.with_columns(NoRepeat(), resources.no_stop_words("deepwordbug"))
    return Attack(
        name="deepwordbug",
        goal=Misclassify(),
        candidates=AnyOf([Misspell(edit) for edit in (swap_neighbours, substitute, delete, insert)]),
        constraints=[*constraints, MaxEditDistance(30)],
        ranking=by_unknown,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
