"""The faster_genetic attack: a genetic search whose swaps are compared with the original text only."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import MaxChangedWords, NoRepeat
from hf_robust.attacks.parts.fluency import MaxLikelihoodDrop
from hf_robust.attacks.parts.genetic_search import Genetic
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.word_distance import WordDistance
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def faster_genetic(resources: Resources) -> Attack:
    """Jia et al. 2019 (arXiv:1909.00986), section 5 and appendix A.3, as TextAttack 0.3.11 has it.

    Like ``genetic``, but with 40 iterations, word vectors compared with the original's, and a log probability of the 6
    words around a swap at most 5.0 below that of the original's.

    Differs: neighbours are the first 8 of ``--lexicon``. Without ``--word_vectors`` only the lexicon limits their
    distance; the language model is ``--language_model``'s, if given, since the authors' model is not available. The
    result's list of constraints shows which ones were applied.

    Raises:
        ValueError: there is no synonym lexicon, or NLTK's stop words are missing.
    """
    lexicon = resources.neighbours("faster_genetic", 8, -1.0)
    stop_words = resources.no_stop_words("faster_genetic")
    constraints = resources.with_columns(NoRepeat(), stop_words, always=True)
    constraints.append(MaxChangedWords(share=0.2))
    if resources.word_vectors is not None:
        constraints.append(WordDistance(resources.word_vectors, max_squared_error=0.5, reference="original"))
    if resources.language_model is not None:
        constraints.append(MaxLikelihoodDrop(resources.language_model, window_size=6, max_drop=5.0))
    return Attack(
        name="faster_genetic",
        goal=Misclassify(),
        candidates=FromLexicon(lexicon, k=8, distinct=False),
        constraints=constraints,
        search=Genetic(population=60, iterations=40),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
