"""Paraphrases of whole texts as candidates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Consult, Steps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates
from hf_robust.words import Text


class Wanted(NamedTuple):
    """``draws`` random paraphrases of a text; the same ``seed`` draws the same ones."""

    text: str
    draws: int
    seed: int


class Paraphraser(Protocol):
    """Writes paraphrases; ``fingerprint`` covers everything that they depend on."""

    @property
    def name(self) -> str: ...

    def paraphrase(self, wanted: Sequence[Wanted]) -> Sequence[Sequence[str]]: ...

    def describe(self) -> dict[str, Any]: ...

    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class Paraphrases(Candidates):
    """Proposes ``count`` paraphrases of each open text column; a candidate has one of them in the column's place.

    A paraphrase is no swap of words: its changed words are those of the original that an alignment by longest equal
    runs does not find in it, and those before which it has other words (``Draft.rewritten``).
    """

    paraphraser: Paraphraser
    count: int = 20
    seed: int = 0

    planned = False

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        return ()

    def rewrites(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Draft]]:
        columns, words = draft.text.columns, draft.text.words
        opened = sorted({words[index].column for index in open_words})
        wanted = [Wanted(columns[number], self.count, self.seed) for number in opened]
        written = (yield Consult(self.paraphraser.paraphrase, wanted)) if wanted else []
        return [
            draft.rewritten((*columns[:number], new, *columns[number + 1 :]))
            for number, paraphrases in zip(opened, written, strict=True)
            for new in paraphrases
        ]

    def to(self, device: Any) -> None:
        """Move the model."""
        if hasattr(self.paraphraser, "to"):
            self.paraphraser.to(device)

    def describe(self) -> dict[str, Any]:
        return {"name": "paraphrases", "paraphraser": self.paraphraser.describe(), "count": self.count}

    def fingerprint(self) -> str:
        return f"paraphrases {self.paraphraser.fingerprint()} {self.count} {self.seed}"
