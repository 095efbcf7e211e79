"""The viper attack: letters become accented look-alikes, ever more of them until the prediction changes."""

from __future__ import annotations

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.visual import VisualNeighbours, weakest_first
from hf_robust.attacks.resources import Resources

PROBABILITIES = tuple(tenth / 10 for tenth in range(1, 10))


def viper(resources: Resources) -> Attack:
    r"""Eger et al. 2019 (arXiv:1903.11508), Section 3: VIPER(p, CES), a visual perturber blind to the model.

    .. math:: x'_i = \begin{cases} v \sim CES(x_i) & \text{with probability } p \\ x_i & \text{else} \end{cases}

    for each character :math:`x_i` of the words that may change. CES, the embedding space of characters, is the paper's
    description-based one (DCES): the up to 20 characters whose Unicode description is that of the letter with a mark,
    in the same case, each equally likely ("LATIN SMALL LETTER A WITH GRAVE" for "a"). Digits and punctuation have
    none. The probability is 0.1, 0.2, ..., 0.9, as in the paper's figures, with the same draws, until the prediction
    changes: at most 10 queries with the clean text. There is no search among texts, so its rate is that of noise that
    people read, and not the worst case.

    Differs from the paper: Unicode is that of version 3.2, which is the same in all versions of Python, and not 11.0.
    The paper measures each p alone; here a text counts if one of the nine succeeds. The paper's space of images (ICES)
    needs rendered fonts, and its easy one (ECES) is a table of one neighbour a letter.

    A tokenizer that removes accents (uncased BERT's) reads most of these letters as the clean ones. A text of which it
    reads nothing else has no candidate (``no_candidates``).
    """
    return Attack(
        name="viper",
        goal=Misclassify(),
        candidates=VisualNeighbours(PROBABILITIES),
        constraints=resources.with_columns(),
        search=weakest_first,
        **resources.limits(),
        scores="margin",
    )
