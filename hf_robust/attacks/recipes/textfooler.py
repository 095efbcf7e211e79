"""The textfooler attack: swap important words for their nearest neighbours until the prediction changes."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import NoRepeat, NoStopWords, SamePartOfSpeech
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_deletion
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.parts.similarity import SentenceSimilarity
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def textfooler(resources: Resources) -> Attack:
    """Jin et al. 2020 (arXiv:1907.11932), as TextAttack 0.3.11 has it.

    Substitutes are the 50 nearest counter-fitted neighbours of cosine 0.5 or more (0.7 in the paper, 0.5 in its code)
    with the same part of speech, or a noun for a verb. TextFooler's stop words do not change, and the 15 words around
    the change stay 0.8408 similar (angular) to the text before the swap. Words are ranked by deletion.

    Differs: the neighbours are ``--lexicon``'s, whose size and threshold are in the result; the encoder is
    ``--sentence_encoder``'s, if given, since USE is not available. No column is frozen by its name.

    Raises:
        ValueError: there is no synonym lexicon.
    """
    lexicon = resources.neighbours("textfooler", 50, 0.5)
    constraints = resources.with_columns(NoRepeat(), NoStopWords(), always=True)
    if resources.tagger is not None:
        constraints.append(SamePartOfSpeech(resources.tagger, verb_noun_swap=True))
    if resources.encoder is not None:
        constraints.append(SentenceSimilarity(resources.encoder, 0.840845057))
    return Attack(
        name="textfooler",
        goal=Misclassify(),
        candidates=FromLexicon(lexicon, k=50, distinct=False),
        constraints=constraints,
        ranking=by_deletion,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
