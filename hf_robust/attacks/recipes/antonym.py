"""The antonym attack: swap one word for its antonym while the prediction stays (obstinacy)."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import NoRepeat, NoStopWords, SamePartOfSpeech
from hf_robust.attacks.parts.goals import Remain
from hf_robust.attacks.parts.ranking import by_gradient
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.resources import Resources
from hf_robust.words import NLTK_STOP_WORDS


def antonym(resources: Resources) -> Attack:
    """Chen et al. 2022 (BAT), Sections 2.2 and 3.1. The true label is assumed to change.

    At most one word, no stop word, is replaced by an antonym of the same part of speech. Labels that an antonym does
    not change (neutral, not duplicate) are skipped. Inputs without an admissible antonym count as failures; the
    summary reports their share. By default an antonym counts as a success if it raises the confidence (``Remain``);
    the record also says whether some antonym kept the prediction.

    ASR is the only rate with a meaning here: "accuracy under attack" would count skipped labels as errors, and a
    failed attack is good. A substitute is always another word, so an edit of punctuation is no success.

    Stop words are NLTK's, as in the official code: TextFooler's list leaves "had", "did" and "will" open, whose
    antonyms ("refuse") say little about the text. Differs from the official code: the stop words are the list in this
    package, compared case-insensitively; the part of speech is not checked for a lexicon that keeps it; the confidence
    is the margin of the logits. The official code uses the probability (``--attack_scores probability``), which can
    rise where the margin falls if there are more than two classes.

    Raises:
        ValueError: there is no antonym lexicon.
    """
    lexicon = resources.needed(resources.antonyms, "antonym", "an antonym lexicon", "pass --antonym_lexicon")
    stop_words = NoStopWords(NLTK_STOP_WORDS, "nltk, shipped")
    constraints = resources.with_columns(NoRepeat(), stop_words, always=True)
    if not lexicon.keeps_part_of_speech and resources.tagger is not None:
        constraints.append(SamePartOfSpeech(resources.tagger, verb_noun_swap=False))
    return Attack(
        name="antonym",
        goal=Remain(resources.antonym_success),
        candidates=FromLexicon(lexicon),
        constraints=constraints,
        ranking=by_gradient,
        search=greedy,
        max_changed=1,
        skip_labels=resources.skip_labels,
        **resources.limits(),
        scores="margin",
        ranks_movable_only=True,
    )
