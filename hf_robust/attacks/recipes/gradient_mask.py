"""The gradient_mask attack: the word with the largest gradient becomes the mask token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.candidates import Candidates, Luck, Swap
from hf_robust.attacks.constraints import LastColumn
from hf_robust.attacks.draft import Draft
from hf_robust.attacks.goals import Misclassify
from hf_robust.attacks.ranking import by_gradient
from hf_robust.attacks.requests import MaskToken, Steps
from hf_robust.attacks.resources import Resources
from hf_robust.attacks.search import top


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
    """Khan 2025 ("GradMask", viXra:2505.0041), Section 4: the [MASK] challenge set.

    One text for each example: the word with the largest gradient of the loss becomes the mask token, in the hypothesis
    alone (the last column that ``--frozen_columns`` leaves open). There is nothing to search: query 1 is the clean
    text, query 2 this one. White-box, so each model is measured on a set of its own; its records replayed
    (``--replay``) show another model the same texts.

    The rate needs care (GRADMASK-6): without its decisive word a text often has another label, and keeps the old one
    here. Differs from the paper, which masks one token: a word of several pieces is masked whole, by one mask token.
    The gradient is of the margin, where the paper's is of the cross-entropy: the same order of words for two classes,
    but that it does not vanish where the model is certain; ``--attack_scores probability`` is the paper's.
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
