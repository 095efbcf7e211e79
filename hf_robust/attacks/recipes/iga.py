"""The iga attack: an improved genetic search over all neighbours, in which a word can change several times."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import MaxChangedWords
from hf_robust.attacks.parts.genetic_search import ImprovedGenetic
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.word_distance import WordDistance
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def iga(resources: Resources) -> Attack:
    """Wang et al. 2019 (arXiv:1909.06723), as TextAttack 0.3.11 has it.

    Substitutes are those of the 50 nearest neighbours whose word vectors have a squared error of at most 0.5 to the
    word before the swap. At most a fifth of the words change; children of a crossover may change more. A word can
    change up to 5 times, so it can drift far from the original word.

    Differs: neighbours are the first 50 of ``--lexicon``. Without ``--word_vectors`` only the lexicon limits their
    distance; the result's list of constraints shows whether this one was applied.

    Raises:
        ValueError: there is no synonym lexicon, or NLTK's stop words are missing.
    """
    lexicon = resources.neighbours("iga", 50, -1.0)
    constraints = resources.with_columns(resources.no_stop_words("iga"))
    constraints.append(MaxChangedWords(share=0.2))
    if resources.word_vectors is not None:
        constraints.append(WordDistance(resources.word_vectors, max_squared_error=0.5, reference="previous"))
    return Attack(
        name="iga",
        goal=Misclassify(),
        candidates=FromLexicon(lexicon, k=50, distinct=False),
        constraints=constraints,
        search=ImprovedGenetic(population=60, iterations=20, swaps_per_word=5),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
