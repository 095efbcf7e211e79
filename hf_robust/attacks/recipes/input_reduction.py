"""The input_reduction attack: delete words, least important first, while the prediction stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.candidates import Candidates, RandomStates
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.goals import Shorten
from hf_robust.attacks.parts.ranking import by_deletion
from hf_robust.attacks.parts.search import greedy
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS, Text


@dataclass(frozen=True)
class Deletion(Candidates):
    """Proposes to delete each word, as long as another word is left."""

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        return [""] if len(text.words) > 1 else []

    def describe(self) -> dict[str, Any]:
        return {"name": "deletion"}

    def fingerprint(self) -> str:
        return "deletion"


def input_reduction(resources: Resources) -> Attack:
    """Feng et al. 2018 (arXiv:1804.07781), as TextAttack 0.3.11 has it; see ``Shorten``.

    Stop words are deleted like other words: in TextAttack too, its stop-word constraint applies to swaps only. Words
    are ranked in the clean text, and a deletion shifts the numbers of all later words. So the search deletes other
    words than it ranked, as TextAttack's does.
    """
    constraints = resources.with_columns(NoRepeat())
    return Attack(
        name="input_reduction",
        goal=Shorten(),
        candidates=Deletion(),
        constraints=constraints,
        ranking=by_deletion,
        search=greedy,
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
