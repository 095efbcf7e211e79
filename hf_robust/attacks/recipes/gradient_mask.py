"""The gradient_mask attack: the word with the largest gradient becomes the mask token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import MaskToken, Steps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap
from hf_robust.attacks.parts.constraints import LastColumn
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.ranking import by_gradient
from hf_robust.attacks.parts.search import top
from hf_robust.attacks.resources import Resources


@dataclass(frozen=True)
class MaskTokenSwaps(Candidates):
    """Proposes the victim's mask token for each open word."""

    planned = False

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
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

    The word with the largest gradient of the loss becomes the mask token, in the hypothesis only (the last column that
    is not in ``--frozen_columns``). There is no search: query 1 is the clean text, query 2 the masked text. The attack
    is white-box, so each model is measured on its own texts; replay its records (``--replay``) to show another model
    the same texts.

    The paper's challenge set (accuracy and loss on x' over all rows) is made by ``hf-robust challenge``. It differs
    from this attack in three points:

    - The challenge set includes rows that the model misclassifies; some of them are correct after masking. An attack
      leaves them out, so its robust accuracy is lower (46.0 % against 53.6 % on the set; BERT-tiny on SNLI).
    - The challenge set masks one token, which can be a piece of a word or a punctuation mark. The attack masks a word,
      whose pieces become one mask token.
    - The challenge set ranks tokens by the gradient of the true label's cross-entropy. The attack uses the gradient of
      the prediction's margin, which gives the same order of words for two classes and does not vanish where the model
      is certain; ``--attack_scores probability`` selects the paper's.

    Interpret both rates with care: without its decisive word a text often has another true label, but here it keeps
    the old one.
    """
    return Attack(
        name="gradient_mask",
        goal=Misclassify(),
        candidates=MaskTokenSwaps(),
        constraints=[LastColumn(resources.frozen_columns), *resources.with_columns()],
        ranking=by_gradient,
        search=top,
        max_changed=1,
        **resources.limits(),
        scores="margin",
    )
