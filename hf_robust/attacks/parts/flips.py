"""Substitutes by gradient: the words of the victim's vocabulary with the highest estimated loss."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Flip, Flips, Steps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap


@dataclass(frozen=True)
class GradientFlips(Candidates):
    """Proposes the ``k`` flips with the highest estimated rise of the loss, for each open word or for the whole text.

    See ``Victim.flips`` for the estimate. Gradients are those of the present text and do not count as queries.
    Constraints apply to these k flips; if all are rejected, there are no others.

    Attributes:
        k: number of flips of each word, or of the text.
        per_word: whether each open word has k flips. False, as in TextAttack: the text has k flips, so with k = 1 a
            beam never holds more than one text.
        at_random: whether the flips of each word are drawn from the vocabulary instead, as the random control does.
    """

    planned = False
    needs_gradient = True
    k: int = 1
    per_word: bool = True
    at_random: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"flips by gradient need a k of at least 1, got {self.k}.")

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        indices = tuple(open_words)
        if not indices:
            return []
        flips: list[Flip] = yield Flips(draft.text, indices, self.k, rng.numpy if self.at_random else None)
        if not self.per_word:
            flips = sorted(flips, key=lambda flip: -flip.estimate)[: self.k]
        return [(flip.place, flip.word) for flip in flips]

    def describe(self) -> dict[str, Any]:
        drawn = {"at_random": True} if self.at_random else {}
        return {"name": "gradient_flips", "k": self.k, "per_word": self.per_word, **drawn}

    def fingerprint(self) -> str:
        return f"gradient_flips {self.k} {self.per_word}{' at_random' * self.at_random}"
