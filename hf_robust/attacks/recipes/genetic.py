"""The genetic attack: a population of texts, crossed and swapped word by word."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import MaxChangedWords, NoRepeat
from hf_robust.attacks.parts.fluency import LikeliestSwaps
from hf_robust.attacks.parts.genetic_search import Genetic
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.word_distance import WordDistance
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def genetic(resources: Resources) -> Attack:
    """Alzantot et al. 2018 (arXiv:1804.07998), as TextAttack 0.3.11 has it, but for what ``LikeliestSwaps`` names.

    The 8 nearest neighbours, at most a fifth of the words (texts that are crossed may change more), squared error of
    the word vectors at most 0.5 against the word before, of each word's substitutes the 4 likeliest after the word
    before it.

    Differs: neighbours are ``--lexicon``'s first 8. Without ``--word_vectors`` there is no limit on their distance
    but the lexicon's own; the language model is the one given, for lack of Google's, or none. What is left out is not
    among the constraints that the result names.

    Raises:
        ValueError: there is no synonym lexicon, or NLTK's stop words are missing.
    """
    lexicon = resources.neighbours("genetic", 8, -1.0)
    stop_words = resources.no_stop_words("genetic")
    constraints = resources.with_columns(NoRepeat(), stop_words, always=True)
    constraints.append(MaxChangedWords(share=0.2))
    if resources.word_vectors is not None:
        constraints.append(WordDistance(resources.word_vectors, max_squared_error=0.5, reference="previous"))
    if resources.language_model is not None:
        constraints.append(LikeliestSwaps(resources.language_model, top=4))
    return Attack(
        name="genetic",
        goal=Misclassify(),
        candidates=FromLexicon(lexicon, k=8, distinct=False),
        constraints=constraints,
        search=Genetic(population=60, iterations=20),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
