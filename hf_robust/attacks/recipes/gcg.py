"""The gcg attack: a suffix of tokens behind the text, found by the gradient one token at a time."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.search import Beam
from hf_robust.attacks.parts.suffix import SuffixTokens
from hf_robust.attacks.resources import Resources

STEPS = 500


def gcg(resources: Resources) -> Attack:
    r"""Zou et al. 2023 (arXiv:2307.15043), Algorithm 1: the greedy coordinate gradient, for any classifier.

    A suffix :math:`s_1 \ldots s_l` of l = 20 tokens, at first twenty "!", stands behind the text x. At each of up to
    500 steps, the 256 best replacements of each token are those of the one-hot gradient,

    .. math:: X_i = \text{Top-256}_{v \in V}\; e_v \cdot \nabla_{e_{s_i}} L(x \oplus s),

    with e the word embeddings; 512 suffixes are drawn, each with one :math:`s_i` replaced, i and its token of
    :math:`X_i` uniformly; and the best of these is the next s, also if it is worse. It ends when the prediction
    changes. The words of the text stay. White-box: it needs the victim's gradients and a fast tokenizer.

    A step costs up to 512 queries and one gradient, so a text that withstands costs 256,000: set
    ``--attack_query_budget``. ``--attack_ranking random`` draws the tokens of all, for the same queries: what the
    gradient adds.

    Tokens are printable ASCII and not special, and a suffix counts only if the text with it is tokenised to these very
    tokens, as in the released code. A suffix that truncation would cut stands before the cut (``SuffixWriter``). Each
    string of it between spaces counts as one changed word, so shares of changed words can be above 1, and
    ``--attack_max_changed`` is refused.

    Differs from the paper, whose goal is that a chat model begins its answer with given words: L is minus the margin
    of the label (``--attack_scores probability``: its cross-entropy), and each text has a suffix of its own. The code
    draws equally many replacements of each place, and repeats one if too few survive; here these are drawn anew.
    """
    return Attack(
        name="gcg",
        goal=Misclassify(),
        candidates=SuffixTokens(frozen=resources.frozen_columns),
        constraints=resources.with_columns(),
        search=Beam(1, steps=STEPS),
        **resources.limits(),
        scores="margin",
    )
