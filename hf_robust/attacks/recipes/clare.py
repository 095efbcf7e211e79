"""The clare attack: a masked language model replaces, inserts and merges words until the prediction changes."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import AnyOf
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.contextual import Insert, Merge, Replace
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.search import Beam
from hf_robust.attacks.parts.similarity import SentenceSimilarity
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def clare(resources: Resources) -> Attack:
    """Li et al. 2021 (arXiv:2009.07502), as TextAttack 0.3.11 has it.

    Each step tries every replacement (probability 5e-4 or more), insertion and merge (5e-3 or more), 50 per position,
    and takes the best one. As in TextAttack, NLTK's stop words are not replaced, but they can be merged, words can be
    inserted before them, and changed words can be merged (see ``Merge``). The 15 words around the change stay 0.7
    similar (cosine) to the original's. Each step of a long text costs thousands of queries, so set a query budget.

    Differs: the masked language model is ``--masked_lm``'s (TextAttack uses distilroberta-base); merges use the tagger
    of ``--pos_tagger``, not flair's; the encoder is ``--sentence_encoder``'s, if given, since USE is not available.
    Candidates are scored by the victim, as in TextAttack; in the paper by the language model.

    Raises:
        ValueError: there is no masked language model or no tagger, or NLTK's stop words are missing.
    """
    masked_lm = resources.needed(resources.masked_lm, "clare", "a masked language model", "pass --masked_lm")
    tagger = resources.needed(resources.tagger, "clare", "a part-of-speech tagger", "pass --pos_tagger nltk")
    constraints = resources.with_columns(NoRepeat())
    if resources.encoder is not None:
        constraints.append(
            SentenceSimilarity(resources.encoder, 0.7, metric="cosine", reference="original", window_size=15)
        )
    sources = [
        Replace(masked_lm, k=50, min_confidence=5e-4, stop_words=resources.common_words("clare")),
        Insert(masked_lm, k=50, min_confidence=0.0),
        Merge(masked_lm, k=50, min_confidence=5e-3, tagger=tagger, frozen=resources.frozen_columns),
    ]
    return Attack(
        name="clare",
        goal=Misclassify(),
        candidates=AnyOf(sources),
        constraints=constraints,
        search=Beam(1),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
