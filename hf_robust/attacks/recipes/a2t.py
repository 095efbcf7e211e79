"""The a2t attack: swap few words for near neighbours, ranked by gradient; cheap enough for training."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import (
    MaxModificationRate,
    NoRepeat,
    SamePartOfSpeech,
)
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_gradient_of_the_start
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.parts.similarity import SentenceSimilarity
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def a2t(resources: Resources) -> Attack:
    """Yoo and Qi 2021 (arXiv:2109.00544), as TextAttack 0.3.11 has it.

    Substitutes are the 20 nearest neighbours of cosine 0.8 or more with the same part of speech. At most a tenth of
    the words change, or four if that is more, and the text stays 0.9 similar (cosine) to the original. In training the
    authors stop at 200 queries (``--attack_query_budget 200``).

    Differs: neighbours are the first 20 of ``--lexicon``; the encoder is ``--sentence_encoder``'s, if given; gradients
    are computed in eval mode, so the order does not depend on dropout.

    Raises:
        ValueError: there is no synonym lexicon, or NLTK's stop words are missing.
    """
    lexicon = resources.neighbours("a2t", 20, 0.8)
    stop_words = resources.no_stop_words("a2t")
    constraints = resources.with_columns(NoRepeat(), stop_words, always=True)
    if resources.tagger is not None:
        constraints.append(SamePartOfSpeech(resources.tagger, verb_noun_swap=False))
    constraints.append(MaxModificationRate(0.1, minimum=4))
    if resources.encoder is not None:
        constraints.append(
            SentenceSimilarity(
                resources.encoder, 0.9, metric="cosine", reference="original", window_size=None, skip_short=False
            )
        )
    return Attack(
        name="a2t",
        goal=Misclassify(),
        candidates=FromLexicon(lexicon, k=20, distinct=False),
        constraints=constraints,
        ranking=by_gradient_of_the_start,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
