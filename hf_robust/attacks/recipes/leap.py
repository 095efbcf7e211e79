"""The leap attack: swap words for WordNet synonyms, found by a particle swarm with Lévy flights."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import Lemmas
from hf_robust.attacks.parts.constraints import MaxModificationRate
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.levy_swarm import LevySwarm
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def leap(resources: Resources) -> Attack:
    """Xiao et al. 2023 (arXiv:2308.11284), as TextAttack 0.3.11 has it; see ``LevySwarm`` for the formulas.

    Substitutes are WordNet synonyms, as in ``pwws``. A word may change again, and no further word changes once 16 % of
    the words are changed (at least one word); NLTK's stop words do not change. A text that resists costs tens of
    thousands of queries, so set a query budget.

    Differs from the paper, as TextAttack does: 16 % is the paper's rate for AG News, here for all data.

    Raises:
        ValueError: WordNet or NLTK's stop words are missing.
    """
    thesaurus = resources.needed(resources.thesaurus, "leap", "WordNet", "set NLTK_DATA to a folder that holds it")
    constraints = resources.with_columns(MaxModificationRate(0.16), resources.no_stop_words("leap"))
    return Attack(
        name="leap",
        goal=Misclassify(),
        candidates=Lemmas(thesaurus),
        constraints=constraints,
        search=LevySwarm(size=60, iterations=20),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
