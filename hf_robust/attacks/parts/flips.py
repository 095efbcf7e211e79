"""Substitutes by gradient: the words of the victim's own vocabulary that promise the highest loss."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Flip, Flips, Steps
from hf_robust.attacks.parts.candidates import Candidates, Luck, Swap


@dataclass(frozen=True)
class GradientFlips(Candidates):
    """The ``k`` flips of each open word, or of the whole text, whose estimated rise of the loss is highest.

    ``Victim.flips`` says what a flip is and how it is estimated; the gradients are of the text as it is now and do not
    count as queries. Constraints are asked about these k, and there is no other where they refuse all.

    Attributes:
        k: flips of a word, or of a text.
        per_word: whether each open word has k flips. Off, as in TextAttack, they are the text's: with k = 1 each text
            has one flip, and a beam is never wider than that.
    """

    planned = False
    needs_gradient = True
    k: int = 1
    per_word: bool = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"flips by gradient need a k of 1 or more, got {self.k}.")

    def propose(self, draft: Draft, open_words: Iterable[int], luck: Luck) -> Steps[list[Swap]]:
        indices = tuple(open_words)
        if not indices:
            return []
        flips: list[Flip] = yield Flips(draft.text, indices, self.k)
        if not self.per_word:
            flips = sorted(flips, key=lambda flip: -flip.estimate)[: self.k]
        return [(flip.place, flip.word) for flip in flips]

    def describe(self) -> dict[str, Any]:
        return {"name": "gradient_flips", "k": self.k, "per_word": self.per_word}

    def fingerprint(self) -> str:
        return f"gradient_flips {self.k} {self.per_word}"
