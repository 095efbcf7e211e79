"""The genetic attack: cross the texts of a population and swap one word of each in every generation."""

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
    """Alzantot et al. 2018 (arXiv:1804.07998), as TextAttack 0.3.11 has it, except for ``LikeliestSwaps``.

    Substitutes are those of the 8 nearest neighbours whose word vectors have a squared error of at most 0.5 to the
    word before the swap; of these the 4 likeliest after the previous word are kept. At most a fifth of the words
    change; children of a crossover may change more.

    Differs: neighbours are the first 8 of ``--lexicon``. Without ``--word_vectors`` only the lexicon limits their
    distance; the language model is ``--language_model``'s, if given, since Google's model is not available. The
    result's list of constraints shows which ones were applied.

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
