"""``Lexicon``, the interface that returns the substitutes of a word, and ``TableLexicon``, a lexicon in memory."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

from hf_robust.words import folded

Relation = Literal["synonym", "antonym"]


def check_relation(relation: str) -> Relation:
    """Return ``relation`` if it is "synonym" or "antonym", else raise a ValueError."""
    for known in get_args(Relation):
        if relation == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(f"relation must be 'synonym' or 'antonym', got {relation!r}.")


def clean_substitutes(word: str, substitutes: Iterable[str]) -> tuple[str, ...]:
    """``substitutes`` in their order, each once, without empty strings and without ``word`` in any case."""
    distinct = dict.fromkeys(other.strip() for other in substitutes)
    return tuple(other for other in distinct if other and other.casefold() != word.casefold())


class Lexicon(ABC):
    """Substitutes of a word, looked up in lower case and returned in a fixed order.

    The words of a text are looked up by their keys (``Text.keys``), in which apostrophes are straight.

    The relation tells the effect of a substitution on the label: a synonym keeps it, an antonym changes it. Training
    views and attacks use the same kind of object, so the run card shows which lexicon each of them uses.
    """

    name: str
    relation: Relation
    keeps_part_of_speech: bool
    """Whether every substitute has the part of speech of its word, so that an attack needs no tagger."""
    source: str
    """Origin of the words, for the run card: the path as passed, or a corpus and its version."""

    @abstractmethod
    def __call__(self, word: str) -> tuple[str, ...]:
        """The substitutes of ``word``, never the word itself in any case; () for an unknown word."""

    @abstractmethod
    def words(self) -> Iterator[str]:
        """Yield the words that can have substitutes, in lower case."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of the content."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of words that :meth:`words` yields."""

    def nearest(self, k: int, min_cosine: float) -> Lexicon:
        """The lexicon with at most ``k`` substitutes per word, of cosine ``min_cosine`` or more.

        A lexicon from word vectors is rebuilt with these settings; other lexicons return themselves.
        """
        return self

    def describe(self) -> dict[str, Any]:
        """The lexicon's entry in the run card; JSON-ready."""
        return {
            "name": self.name,
            "relation": self.relation,
            "fingerprint": self.fingerprint(),
            "size": len(self),
            "source": self.source,
            "keeps_part_of_speech": self.keeps_part_of_speech,
        }

    def __bool__(self) -> bool:
        # An empty lexicon is still a lexicon, so `if lexicon` must not depend on its size.
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} ({self.relation}s, {self.source})>"


class Thesaurus(Protocol):
    """A dictionary of lemmas such as WordNet, from which PWWS takes its substitutes."""

    def lemmas(self, word: str) -> Sequence[str]:
        """All lemmas of all senses of ``word``, phrases (joined by ``_``), repeats and the word itself included."""
        ...

    def describe(self) -> dict[str, Any]: ...

    def fingerprint(self) -> str: ...


class TableLexicon(Lexicon):
    """A lexicon held in memory as a dict.

    Keys are lower-cased; keys that differ only in case are merged in their order. Words without substitutes are
    dropped. A key that is not in lookup form ("don’t") is stored in this form too ("don't").
    """

    def __init__(
        self,
        table: Mapping[str, Iterable[str]],
        name: str = "table",
        relation: str = "synonym",
        keeps_part_of_speech: bool = False,
        source: str = "a table in memory",
    ) -> None:
        merged: dict[str, list[str]] = {}
        for word, substitutes in table.items():
            if isinstance(substitutes, str):
                raise ValueError(
                    f"The substitutes of {word!r} must be a list of words, got the string {substitutes!r}."
                )
            merged.setdefault(word.strip().lower(), []).extend(substitutes)
        cleaned = {word: clean_substitutes(word, substitutes) for word, substitutes in merged.items() if word}
        self._table = {word: substitutes for word, substitutes in cleaned.items() if substitutes}
        for word in list(self._table):
            self._table.setdefault(folded(word), self._table[word])
        self.name, self.relation, self.source = name, check_relation(relation), source
        self.keeps_part_of_speech = keeps_part_of_speech
        self._fingerprint = fingerprint_table(self._table)

    def __call__(self, word: str) -> tuple[str, ...]:
        return self._table.get(word.lower(), ())

    def words(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def fingerprint(self) -> str:
        return self._fingerprint


def fingerprint_table(table: Mapping[str, Sequence[str]]) -> str:
    """Hash (16 hexadecimal characters) of a table; the order of its words does not count, that of substitutes does."""
    rows = sorted((word, list(substitutes)) for word, substitutes in table.items())
    return hashlib.sha256(json.dumps(rows, ensure_ascii=True).encode()).hexdigest()[:16]
