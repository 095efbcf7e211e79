"""The hotflip attack: at most two words become what the model's own gradient says, found by a beam."""

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

    A beam of 10 texts; at most two words change, not NLTK's stop words, none twice, to words of cosine 0.8 or more and
    the same part of speech (or a noun for a verb). White-box: it needs the victim's gradients and a fast tokenizer.

    Differs from TextAttack 0.3.11, whose recipe takes its own LSTM only: any model with whole words in its vocabulary
    will do (``Victim.flips``); gradients are taken in eval mode; each word has a flip, where TextAttack has one for
    the whole text. As there, constraints are asked about the best flip alone, and words without a vector pass; most
    flips are refused, and few predictions change, as in the paper (2%). Without ``--word_vectors`` there is no limit
    on the distance.

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
