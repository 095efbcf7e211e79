"""The kuleshov attack: near neighbours of words that keep the text's mean vector and its fluency."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import MaxChangedWords, NoRepeat
from hf_robust.attacks.parts.fluency import MaxNextWordDrop
from hf_robust.attacks.parts.goals import LowerProbability
from hf_robust.attacks.parts.search import Beam
from hf_robust.attacks.parts.word_distance import MaxThoughtDistance
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS


def kuleshov(resources: Resources) -> Attack:
    r"""Kuleshov et al. 2018 (openreview.net/forum?id=r1QZ3zbAZ), Algorithm 1, as TextAttack 0.3.11 has it.

    .. math:: \max_{x'} \; 1 - p_y(x') \quad \text{s.t.} \quad \lVert v(x') - v(x) \rVert \le 0.2, \;\;
              \log p(w) - \log p(w') < 2, \;\; |\{i : w'_i \ne w_i\}| \le 0.5\,n

    Each step tries the 15 nearest neighbours of every word and takes the best text (greedy search). No word changes
    twice, and NLTK's stop words do not change. It succeeds once the probability of the label is below 0.7, so the
    prediction may stay; a clean text below 0.7 is skipped. ``MaxThoughtDistance`` and ``MaxNextWordDrop`` have the
    constraints. ``--attack_fixed`` takes the paper's goal and constraints: another label with a probability of 0.7.

    Differs: neighbours are the first 15 of ``--lexicon``. Without ``--word_vectors`` (TextAttack: counter-fitted
    GloVe) there is no bound on the mean vector; the language model is ``--language_model``'s, if given (TextAttack:
    GPT-2).

    Raises:
        ValueError: there is no synonym lexicon, or NLTK's stop words are missing.
    """
    lexicon = resources.neighbours("kuleshov", 15, -1.0)
    constraints = resources.with_columns(NoRepeat(), resources.no_stop_words("kuleshov"))
    constraints.append(MaxChangedWords(share=0.5))
    if resources.word_vectors is not None:
        constraints.append(MaxThoughtDistance(resources.word_vectors, maximum=0.2))
    if resources.language_model is not None:
        constraints.append(MaxNextWordDrop(resources.language_model, max_drop=2.0))
    return Attack(
        name="kuleshov",
        goal=LowerProbability(0.7),
        candidates=FromLexicon(lexicon, k=15, distinct=False),
        constraints=constraints,
        search=Beam(1),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
