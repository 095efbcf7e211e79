"""``Candidates``: the sources of an attack's substitutes."""

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
"""A word's number and its substitute; "" deletes the word."""


class Luck:
    """The random states of one example, so that its draws do not depend on the other examples or their order.

    There are two generators, as in TextAttack.
    """

    def __init__(self, seed: int) -> None:
        self.python = random.Random(seed)
        self.numpy = np.random.RandomState(seed % 2**32)


class Candidates(ABC):
    """Proposes substitutes for the open words of a text.

    Attributes:
        planned: whether proposals depend on the clean text alone and not on swaps of other words. They are then
            computed once per text and stored. A source that draws at random or uses a model is not planned.
        needs_gradient: whether the source uses gradients by word.
    """

    planned = True
    needs_gradient = False

    @property
    def lookup(self) -> Candidates | None:
        """The source that looks words up in a table; None if there is none."""
        return None

    @property
    def flag(self) -> str:
        """The flag that selects the table; "" if there is none."""
        return ""

    def substitutes(self, text: Text, index: int, luck: Luck) -> Iterable[str]:
        """Substitutes of word ``index``, for sources that treat each word separately."""
        raise NotImplementedError

    def propose(self, draft: Draft, open_words: Iterable[int], luck: Luck) -> Steps[list[Swap]]:
        """Swaps of the open words; of equal texts the first swap is kept."""
        return [(index, new) for index in open_words for new in self.substitutes(draft.text, index, luck)]
        yield  # makes this method a generator, as in all sources

    def rewrites(self, draft: Draft, open_words: Iterable[int], luck: Luck) -> Steps[list[Draft]]:
        """Drafts that change several words at once; they are never planned, and most sources have none.

        ``Constraint.admits`` does not apply to them, and the source itself decides which words they may change.
        """
        return []
        yield  # makes this method a generator, as in all sources

    @abstractmethod
    def describe(self) -> dict[str, Any]: ...

    @abstractmethod
    def fingerprint(self) -> str:
        """Text with everything that proposals depend on, without file names and paths."""


@dataclass(frozen=True)
class FromLexicon(Candidates):
    """Proposes a lexicon's first ``k`` substitutes (None: all), in the word's case and the lexicon's order.

    ``distinct`` keeps single words only, each once. It is off in TextAttack's recipes: two entries that are equal in
    the word's case are scored twice there and count twice.
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
    """Proposes the candidates of several sources, in their order, each text once."""

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
        """Move the models of the sources."""
        for source in self.sources:
            if hasattr(source, "to"):
                source.to(device)
