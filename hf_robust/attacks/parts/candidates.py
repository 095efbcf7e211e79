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
    from hf_robust.lexicons import Lexicon, Thesaurus

Swap = tuple[int, str]
"""A word's number and its substitute; "" deletes the word."""


class RandomStates:
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

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        """Substitutes of word ``index``, for sources that treat each word separately."""
        raise NotImplementedError

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        """Swaps of the open words; of equal texts the first swap is kept."""
        return [(index, new) for index in open_words for new in self.substitutes(draft.text, index, rng)]
        yield  # makes this method a generator, as in all sources

    def rewrites(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Draft]]:
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

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        substitutes = text.substitutes(index, lambda word: self.lexicon(word)[: self.k])
        if self.distinct:
            substitutes = [new for new in dict.fromkeys(substitutes) if text.rule.is_one_word(new)]
        return [new for new in substitutes if new != text.tokens[index]]

    def describe(self) -> dict[str, Any]:
        return {"name": f"{self.lexicon.relation}s", "lexicon": self.lexicon.describe(), "k": self.k}

    def fingerprint(self) -> str:
        return f"{self.lexicon.relation}s {self.lexicon.fingerprint()} {self.k} {self.distinct}"


@dataclass(frozen=True)
class Lemmas(Candidates):
    """Proposes all lemmas of all synsets of a word, single words only; the case of the word is not restored.

    So an upper-case word may become itself in lower case, which an uncased tokenizer does not distinguish.
    """

    thesaurus: Thesaurus

    @property
    def lookup(self) -> Candidates:
        return self

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        lemmas = dict.fromkeys(self.thesaurus.lemmas(text.keys[index])) if text.keys[index] else {}
        word, split = text.tokens[index], text.rule.split
        return [new for new in lemmas if new != word and "_" not in new and len(split(new)) == 1]

    def describe(self) -> dict[str, Any]:
        return {"name": "lemmas", "lexicon": self.thesaurus.describe()}

    def fingerprint(self) -> str:
        return f"lemmas {self.thesaurus.fingerprint()}"


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

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        indices, swaps = list(open_words), []
        for source in self.sources:
            swaps += yield from source.propose(draft, indices, rng)
        return list(dict.fromkeys(swaps))

    def rewrites(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Draft]]:
        indices = list(open_words)
        drafts: dict[tuple[str, ...], Draft] = {}
        for source in self.sources:
            for rewritten in (yield from source.rewrites(draft, indices, rng)):
                drafts.setdefault(rewritten.text.columns, rewritten)
        return list(drafts.values())

    def describe(self) -> dict[str, Any]:
        return {"name": "any_of", "sources": [source.describe() for source in self.sources]}

    def fingerprint(self) -> str:
        return " | ".join(source.fingerprint() for source in self.sources)

    def to(self, device: Any) -> None:
        """Move the models of the sources."""
        for source in self.sources:
            if hasattr(source, "to"):
                source.to(device)
