"""Where an attack's substitutes come from."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.lexicons import Lexicon

Swap = tuple[int, str]
"""A word's number and what may stand for it; "" deletes the word."""


class Luck:
    """The random state of one example: its draws do not depend on what else is attacked, nor in which order.

    Two generators, as TextAttack draws from two.
    """

    def __init__(self, seed: int) -> None:
        self.python = random.Random(seed)
        self.numpy = np.random.RandomState(seed % 2**32)


class Candidates(ABC):
    """Proposes what may stand for the open words of a text.

    ``planned`` says that the proposals depend on the text alone, and on no other word's swaps: they are then made once
    for each text and kept. A source that draws, or asks a model, is not planned.
    """

    planned = True
    needs_gradient = False

    @property
    def lookup(self) -> Candidates | None:
        """The part that looks words up in a table; None where there is none."""
        return None

    @property
    def flag(self) -> str:
        """By which flag its table is given; empty where there is no choice."""
        return ""

    def substitutes(self, text: Text, index: int, luck: Luck) -> Iterable[str]:
        """What may stand for word ``index``; the default of sources that look at one word at a time."""
        raise NotImplementedError

    def propose(self, draft: Draft, open_words: Iterable[int], luck: Luck) -> Steps[list[Swap]]:
        """Swaps of the open words, in the order in which duplicates of a text are dropped."""
        return [(index, new) for index in open_words for new in self.substitutes(draft.text, index, luck)]
        yield  # makes this a generator, as every source's is

    def rewrites(self, draft: Draft, open_words: Iterable[int], luck: Luck) -> Steps[list[Draft]]:
        """Drafts that change several words at once, never planned; most sources make none.

        ``Constraint.admits`` is not asked about them, and which words they may change is the source's own rule.
        """
        return []
        yield  # makes this a generator, as every source's is

    @abstractmethod
    def describe(self) -> dict[str, Any]: ...

    @abstractmethod
    def fingerprint(self) -> str:
        """Changes whenever a proposal could; file names and paths do not count."""


@dataclass(frozen=True)
class FromLexicon(Candidates):
    """A lexicon's first ``k`` substitutes (None: all) as the text writes them, in the lexicon's order.

    With ``distinct`` single words only, each once. TextAttack's recipes have it off: what two entries make equal by
    their case is asked twice there, and counts twice.
    """

    lexicon: Lexicon
    k: int | None = None
    distinct: bool = True

    @property
    def lookup(self) -> Candidates:
        return self

    @property
    def flag(self) -> str:
        return "--antonym_lexicon" if self.lexicon.relation == "antonym" else "--lexicon or --attack_lexicon"

    def substitutes(self, text: Text, index: int, luck: Luck) -> Iterable[str]:
        found = text.substitutes(index, lambda word: self.lexicon(word)[: self.k])
        if self.distinct:
            found = [new for new in dict.fromkeys(found) if text.rule.is_one_word(new)]
        return [new for new in found if new != text.tokens[index]]

    def describe(self) -> dict[str, Any]:
        return {"name": f"{self.lexicon.relation}s", "lexicon": self.lexicon.describe(), "k": self.k}

    def fingerprint(self) -> str:
        return f"{self.lexicon.relation}s {self.lexicon.fingerprint()} {self.k} {self.distinct}"


@dataclass(frozen=True)
class AnyOf(Candidates):
    """The proposals of several sources, in their order, each text once."""

    sources: Sequence[Candidates]

    @property
    def planned(self) -> bool:  # type: ignore[override]
        return all(source.planned for source in self.sources)

    @property
    def lookup(self) -> Candidates | None:
        tables = [source.lookup for source in self.sources if source.lookup is not None]
        return AnyOf(tables) if tables else None

    @property
    def flag(self) -> str:
        return " and ".join(filter(None, (source.flag for source in self.sources)))

    def propose(self, draft: Draft, open_words: Iterable[int], luck: Luck) -> Steps[list[Swap]]:
        indices, found = list(open_words), []
        for source in self.sources:
            found += yield from source.propose(draft, indices, luck)
        return list(dict.fromkeys(found))

    def rewrites(self, draft: Draft, open_words: Iterable[int], luck: Luck) -> Steps[list[Draft]]:
        indices = list(open_words)
        found: dict[tuple[str, ...], Draft] = {}
        for source in self.sources:
            for made in (yield from source.rewrites(draft, indices, luck)):
                found.setdefault(made.text.columns, made)
        return list(found.values())

    def describe(self) -> dict[str, Any]:
        return {"name": "any_of", "sources": [source.describe() for source in self.sources]}

    def fingerprint(self) -> str:
        return " | ".join(source.fingerprint() for source in self.sources)

    def to(self, device: Any) -> None:
        """Move the models that the sources consult."""
        for source in self.sources:
            if hasattr(source, "to"):
                source.to(device)
