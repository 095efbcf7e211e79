"""The hotflip attack: flip at most two words by the model's gradient, found by beam search."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.constraints import Constraint, MaxChangedWords, NoRepeat, SamePartOfSpeech
from hf_robust.attacks.parts.flips import GradientFlips
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.search import Beam
from hf_robust.attacks.parts.word_distance import WordDistance
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def hotflip(resources: Resources) -> Attack:
    """Ebrahimi et al. 2018 (arXiv:1712.06751), section 5: words flipped by their first-order effect on the loss.

    A beam search of width 10. At most two words change, none twice and no stop word of NLTK, to words of cosine 0.8 or
    more and the same part of speech (or a noun for a verb). White-box: it needs the victim's gradients and a fast
    tokenizer.

    Differs from TextAttack 0.3.11, whose recipe accepts its own LSTM only: the model can be any with whole words in
    its vocabulary (``Victim.flips``); gradients are computed in eval mode; each word has a flip, where TextAttack has
    one for the whole text. As in TextAttack, constraints are applied to the best flip only, and words without a vector
    pass. Most flips are rejected, and few predictions change, as in the paper (2%). Without ``--word_vectors`` the
    distance is not limited.

    Raises:
        ValueError: NLTK's stop words are missing.
    """
    stop_words = resources.no_stop_words("hotflip")
    constraints: list[Constraint] = resources.with_columns(NoRepeat(), stop_words)
    constraints.append(MaxChangedWords(count=2))
    if resources.word_vectors is not None:
        constraints.append(WordDistance(resources.word_vectors, min_cosine=0.8))
    if resources.tagger is not None:
        constraints.append(SamePartOfSpeech(resources.tagger, verb_noun_swap=True))
    return Attack(
        name="hotflip",
        goal=Misclassify(),
        candidates=GradientFlips(k=1),
        constraints=constraints,
        search=Beam(10),
        max_changed=2,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
