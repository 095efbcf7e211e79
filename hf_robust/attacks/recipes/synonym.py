"""The synonym attack: swap words for synonyms until the prediction changes (fickleness)."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import NoRepeat, NoStopWords, SamePartOfSpeech
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_deletion
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.parts.similarity import SentenceSimilarity
from hf_robust.attacks.resources import Resources


def synonym(resources: Resources) -> Attack:
    """Chen et al. 2022 (BAT), Sections 2.1 and 3.1: TextFooler's search over a table of substitutes.

    All words except TextFooler's stop words may change, each once. A substitute has the part of speech of its word, or
    is a noun for a verb. With an encoder, the 15 words around it stay 0.8408 similar (angular) to the text before the
    swap.

    Differs from the paper: without an encoder the similarity constraint is left out, as the description shows; the
    part of speech is not checked for a lexicon that keeps it. Differs from the code: the table is read once, the table
    and the stop words are looked up case-insensitively, and words are those of ``UnicodeWords``. If training uses the
    same lexicon, a low rate is a result within the training distribution.

    Raises:
        ValueError: there is no synonym lexicon.
    """
    lexicon = resources.needed(resources.synonyms, "synonym", "a synonym lexicon", "pass --lexicon")
    constraints = resources.with_columns(NoRepeat(), NoStopWords(), always=True)
    if not lexicon.keeps_part_of_speech and resources.tagger is not None:
        constraints.append(SamePartOfSpeech(resources.tagger, verb_noun_swap=True))
    if resources.encoder is not None:
        constraints.append(SentenceSimilarity(resources.encoder, resources.min_similarity))
    return Attack(
        name="synonym",
        goal=Misclassify(),
        candidates=FromLexicon(lexicon),
        constraints=constraints,
        ranking=by_deletion,
        search=greedy,
        **resources.limits(),
        scores="margin",
        ranks_movable_only=True,
    )
