"""The iga attack: an improved genetic search over all neighbours, in which a word may change again."""

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

    The 50 nearest neighbours, at most a fifth of the words (texts that are crossed may change more), squared error of
    the word vectors at most 0.5 against the word before. A word may change up to 5 times, so it may drift
    far from the original's.

    Differs: neighbours are ``--lexicon``'s first 50. Without ``--word_vectors`` there is no limit on their distance
    but the lexicon's own, and it is not among the constraints that the result names.

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
