"""The hlbb attack: a random text with a wrong label becomes as similar as it can, by labels alone."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import NoStopWords, SamePartOfSpeech
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.hard_label import HardLabel
from hf_robust.attacks.parts.text_similarity import TextSimilarity
from hf_robust.attacks.resources import Resources

CONTENT_WORDS = ("NOUN", "VERB", "ADJ", "ADV")


def hlbb(resources: Resources) -> Attack:
    r"""Maheshwary, Maheshwary and Pudi 2021 (arXiv:2012.14956): the hard-label black-box attack.

    .. math:: \max_{x'} S(x, x') \quad \text{such that} \quad F(x') \neq y

    It needs the label F of the victim and no score. A random text with a wrong label is the start; its words are
    restored as far as the label allows, and a population then raises the similarity S (``HardLabel``). It succeeds if
    the start is found, so what sets it apart from random swaps is how similar the text is, and how few words change.

    Nouns, verbs, adjectives and adverbs may change; a substitute is one of the 50 nearest neighbours (cosine 0.5 or
    more) and has the part of speech of its word, or is a noun for a verb.

    Cost: one query for each distinct random start (an example that fails costs up to 2,500, and one for each word),
    one for each word that may be restored, and then one for each substitute that a mutation tries. Against the labels
    of a linear classifier of SST-2, 24 successes cost 65 queries on average, between 2 and 641.

    Differs from the paper: see ``HardLabel``; the encoder is ``--sentence_encoder``'s, since USE is not available;
    TextFooler's stop words never change, and without a tagger all other words may.

    Raises:
        ValueError: there is no sentence encoder, or no synonym lexicon.
    """
    encoder = resources.needed(resources.encoder, "hlbb", "a sentence encoder", "pass --sentence_encoder")
    lexicon = resources.neighbours("hlbb", k=50, min_cosine=0.5)
    constraints = resources.with_columns(NoStopWords())
    if resources.tagger is not None:
        constraints.append(SamePartOfSpeech(resources.tagger, verb_noun_swap=True, only=CONTENT_WORDS))
    constraints.append(TextSimilarity(encoder))
    return Attack(
        name="hlbb",
        goal=Misclassify(),
        candidates=FromLexicon(lexicon, k=50),
        constraints=constraints,
        search=HardLabel(),
        **resources.limits(),
        ranks_movable_only=True,
        scores=None,
        needs_scores=False,
    )
