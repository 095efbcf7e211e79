"""Words that share their sememes (HowNet), the substitutes of the pso attack."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.lexicons.base import fingerprint_table
from hf_robust.words.vector_files import refuse_pickle

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
_EXPECTED_FORMAT = (
    'a table of sememes is one JSON object {"word": {"noun": [["sememe", ...], ...], ...}, ...} with the sememes of '
    'each sense, or {"word": {"noun": ["substitute", ...], ...}, ...}; parts of speech are noun, verb, adj and adv'
)

Substitutes = Mapping[str, Mapping[str, Sequence[str]]]


class SememeTable:
    """Substitutes by word and part of speech; words are looked up in lower case.

    Args:
        table: ``{word: {part: [substitute, ...]}}``, the format of TextAttack's HowNet candidates.
        source: origin of the table, for the run card.
    """

    def __init__(self, table: Substitutes, source: str = "a table in memory") -> None:
        self._table: dict[str, dict[str, tuple[str, ...]]] = {}
        for word, parts in table.items():
            self._table.setdefault(word.lower(), {part: tuple(words) for part, words in parts.items()})
        self.source = source
        self._fingerprint: str | None = None

    def __call__(self, word: str, part: str) -> tuple[str, ...]:
        """The substitutes of ``word`` for this part of speech; () for an unknown word."""
        return self._table.get(word.lower(), {}).get(part, ())

    def __len__(self) -> int:
        return len(self._table)

    def __bool__(self) -> bool:
        # An empty table is still a table, so `if table` must not depend on its size.
        return True

    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of the content."""
        if self._fingerprint is None:
            rows = {f"{word} {part}": words for word, parts in self._table.items() for part, words in parts.items()}
            self._fingerprint = fingerprint_table(rows)
        return self._fingerprint

    def describe(self) -> dict[str, Any]:
        """The table's entry in the run card; JSON-ready."""
        return {"name": "sememes", "fingerprint": self.fingerprint(), "size": len(self), "source": self.source}


def share_sememes(senses: Mapping[str, Mapping[str, Sequence[Sequence[str]]]]) -> dict[str, dict[str, list[str]]]:
    """Build a table of substitutes from sememes (Zang et al. 2020, section 3.1).

    A word is a substitute if one of its senses has exactly the sememes of a sense of the other word, both with the
    same part of speech. The order is that of the word's senses, then of the table. A sense without sememes matches no
    other.

    >>> share_sememes({"film": {"noun": [["shows"], ["skin"]]}, "movie": {"noun": [["shows"]]}})
    {'film': {'noun': ['movie']}, 'movie': {'noun': ['film']}}
    """
    words_by_sememes: dict[tuple[str, frozenset[str]], list[str]] = {}
    for word, parts in senses.items():
        for part, lists in parts.items():
            for sememes in dict.fromkeys(map(frozenset, lists)):
                words_by_sememes.setdefault((part, sememes), []).append(word)
    table: dict[str, dict[str, list[str]]] = {}
    for word, parts in senses.items():
        for part, lists in parts.items():
            substitutes = dict.fromkeys(
                other for sememes in lists if sememes for other in words_by_sememes[part, frozenset(sememes)]
            )
            others = [other for other in substitutes if other != word]
            if others:
                table.setdefault(word, {})[part] = others
    return table


def load_sememes(path: str | Path) -> SememeTable:
    """Read a JSON table, gzipped or not, of senses with their sememes or of lists of substitutes.

    Raises:
        ValueError: the file is missing or has another format; pickled files are refused.
    """
    refuse_pickle(path)
    try:
        raw = Path(path).read_bytes()
        content = json.loads((gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8"))
    except FileNotFoundError:
        raise ValueError(f"There is no table of sememes at {path}; pass --sememes a .json or .json.gz file.") from None
    except (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); {_EXPECTED_FORMAT}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a JSON object; {_EXPECTED_FORMAT}.")
    kinds = {_kind(path, word, parts) for word, parts in content.items()} - {None}
    if len(kinds) > 1:
        raise ValueError(f"{path} holds both senses and substitutes; {_EXPECTED_FORMAT}.")
    return SememeTable(share_sememes(content) if kinds == {"senses"} else content, source=str(path))


def _kind(path: str | Path, word: str, parts: Any) -> str | None:
    """Whether an entry holds ``senses`` or ``substitutes``; None for an empty one."""
    if not isinstance(parts, dict):
        raise ValueError(f"In {path} the entry {word!r} is not a JSON object; {_EXPECTED_FORMAT}.")
    unknown = [part for part in parts if part not in PARTS_OF_SPEECH]
    if unknown:
        raise ValueError(f"In {path} the entry {word!r} has the part of speech {unknown[0]!r}; {_EXPECTED_FORMAT}.")
    for part, lists in parts.items():
        if not isinstance(lists, list):
            raise ValueError(f"In {path} the {part} of {word!r} is not a JSON array; {_EXPECTED_FORMAT}.")
    items = [item for lists in parts.values() for item in lists]
    if all(isinstance(item, str) for item in items):
        return "substitutes" if items else None
    if all(isinstance(item, list) and all(isinstance(sememe, str) for sememe in item) for item in items):
        return "senses"
    raise ValueError(f"In {path} the entry {word!r} lists neither words nor lists of sememes; {_EXPECTED_FORMAT}.")
