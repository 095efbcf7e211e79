"""A suffix of tokens behind a text, of which one token at a time is swapped (GCG)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Insertion, NewSuffix, Steps, SuffixSwaps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap
from hf_robust.attacks.parts.insertion import WithInsertion

BY_GRADIENT, AT_RANDOM = "by_gradient", "at_random"


@dataclass(frozen=True)
class SuffixTokens(Candidates):
    """Proposes a suffix for a text without one, and for a text with one up to ``batch`` swaps of one of its tokens.

    Each swap draws its place among the ``length`` tokens, then the new token: of the ``top`` with the highest
    estimated rise of the loss at that place, or with ``ranking`` at_random of all, which is the control of the same
    cost in queries. Only texts that the tokenizer reads as exactly these tokens are proposed (``SuffixWriter``). The
    gradient counts as no query.

    Attributes:
        frozen: text columns that get no suffix; it stands in the last other one.
    """

    planned = False
    needs_gradient = True
    length: int = 20
    top: int = 256
    batch: int = 512
    ranking: str = BY_GRADIENT
    frozen: frozenset[int] = frozenset()

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        return []
        yield  # makes this method a generator, as in all sources

    def rewrites(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Draft]]:
        clean = draft.origin
        if isinstance(draft, WithInsertion):
            top = self.top if self.ranking == BY_GRADIENT else None
            suffixes: list[Insertion] = yield SuffixSwaps(draft.insertion, self.batch, top, rng.numpy)
            return [WithInsertion(clean, suffix) for suffix in suffixes]
        column = max(set(range(len(clean.text.columns))) - self.frozen)
        first: Insertion | None = yield NewSuffix(clean.text.columns, column, self.length)
        return [] if first is None else [WithInsertion(clean, first)]

    def describe(self) -> dict[str, Any]:
        settings = {"length": self.length, "top": self.top, "batch": self.batch, "ranking": self.ranking}
        return {"name": "suffix_tokens", **settings, "frozen": sorted(self.frozen)}

    def fingerprint(self) -> str:
        return str(self.describe())
