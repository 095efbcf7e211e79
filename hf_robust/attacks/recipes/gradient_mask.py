"""The gradient_mask attack: the word with the largest gradient becomes the mask token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import MaskToken, Steps
from hf_robust.attacks.parts.candidates import Candidates, Luck, Swap
from hf_robust.attacks.parts.constraints import LastColumn
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_gradient
from hf_robust.attacks.parts.search import top
from hf_robust.attacks.resources import Resources


@dataclass(frozen=True)
class Masking(Candidates):
    """Each open word may become the victim's mask token."""

    planned = False

    def propose(self, draft: Draft, open_words: Iterable[int], luck: Luck) -> Steps[list[Swap]]:
        indices = list(open_words)
        if not indices:
            return []
        mask: str = yield MaskToken()
        return [(index, mask) for index in indices]

    def describe(self) -> dict[str, Any]:
        return {"name": "mask_token"}

    def fingerprint(self) -> str:
        return "mask_token"


def gradient_mask(resources: Resources) -> Attack:
    """Khan 2025 ("GradMask", viXra:2505.0041), Section 4, as an attack: one word of each text is masked.

    One text for each example: the word with the largest gradient of the loss becomes the mask token, in the hypothesis
    alone (the last column that ``--frozen_columns`` leaves open). There is nothing to search: query 1 is the clean
    text, query 2 this one. White-box, so each model is measured on a set of its own; its records replayed
    (``--replay``) show another model the same texts.

    Two numbers of the paper are another command's: ``hf-robust challenge`` makes its challenge set (accuracy and loss
    on x' over all rows). That differs from this attack in three points:

    - There the rows that the model got wrong count too, some of which are right once they are masked. An attack leaves
      them out, so that its robust accuracy is lower (46.0 % where the set has 53.6, a BERT-tiny on SNLI).
    - There a token is masked, pieces of words apart and signs of punctuation among them; here a word, whose pieces
      become one mask token.
    - There tokens are ranked by the gradient of the true label's cross-entropy. Here it is of the prediction's margin:
      the same order of words for two classes, but that it does not vanish where the model is certain;
      ``--attack_scores probability`` is the paper's.

    Both rates need care: without its decisive word a text often has another label, and keeps the old one
    here.
    """
    return Attack(
        name="gradient_mask",
        goal=Misclassify(),
        candidates=Masking(),
        constraints=[LastColumn(resources.frozen_columns), *resources.with_columns()],
        ranking=by_gradient,
        search=top,
        max_changed=1,
        **resources.limits(),
        scores="margin",
    )
