"""The bae attack: a masked language model replaces important words until the prediction changes."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.constraints import NoRepeat, SamePartOfSpeech
from hf_robust.attacks.parts.contextual import Replace
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_deletion
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.parts.similarity import SentenceSimilarity
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def bae(resources: Resources) -> Attack:
    """BAE-R of Garg and Ramakrishnan 2020 (arXiv:2004.01970), as TextAttack 0.3.11 has it.

    Substitutes are the 50 likeliest words at a word's position, with the same part of speech or a noun for a verb.
    NLTK's stop words do not change, and the 15 words around the change stay 0.9363 similar (cosine) to the original's.
    Words are ranked by deletion.

    Differs: the masked language model is ``--masked_lm``'s (TextAttack uses bert-base-uncased); the encoder is
    ``--sentence_encoder``'s, if given, since USE is not available. Pieces from inside words and special tokens count
    as words, as in TextAttack and unlike in the paper; a ``MaskedLM`` with ``whole_words`` drops them.

    Raises:
        ValueError: there is no masked language model, or NLTK's stop words are missing.
    """
    masked_lm = resources.needed(resources.masked_lm, "bae", "a masked language model", "pass --masked_lm")
    constraints = resources.with_columns(NoRepeat(), resources.no_stop_words("bae"))
    if resources.tagger is not None:
        constraints.append(SamePartOfSpeech(resources.tagger, verb_noun_swap=True))
    if resources.encoder is not None:
        constraints.append(
            SentenceSimilarity(resources.encoder, 0.936338023, metric="cosine", reference="original", window_size=15)
        )
    return Attack(
        name="bae",
        goal=Misclassify(),
        candidates=Replace(masked_lm, k=50, min_confidence=0.0),
        constraints=constraints,
        ranking=by_deletion,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
