"""Lists of names by kind: first names, cities, and so on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any


class NameLists:
    """Names by kind, so that a name can replace another of its kind. A name can have several words.

    >>> places = NameLists({"city": ["New York", "Paris"], "country": ["France"]})
    >>> places.like("New York"), places.like("new york"), places.longest
    (('New York', 'Paris'), (), 2)

    Raises:
        ValueError: a kind has no names.
    """

    def __init__(self, lists: Mapping[str, Sequence[str]], source: str = "lists in memory") -> None:
        self.lists = {kind: tuple(names) for kind, names in lists.items()}
        self.source = source
        empty = [kind for kind, names in self.lists.items() if not names]
        if empty or not self.lists:
            raise ValueError(f"each kind of names in {source} needs a name, got none for {', '.join(empty) or 'any'}.")

    @classmethod
    def load(cls, path: Path | str) -> NameLists:
        """Read a JSON object of lists, such as ``{"first": ["Ann", "Bo"], "last": ["Smith"]}``.

        Raises:
            ValueError: the file is missing or holds something else.
        """
        try:
            lists = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"the name lists {path} cannot be read ({error}); give a JSON object of lists."
            ) from error
        if not isinstance(lists, dict) or not all(_is_list_of_names(names) for names in lists.values()):
            raise ValueError(f"the name lists {path} are not a JSON object of lists of names.")
        return cls(lists, str(path))

    def like(self, name: str) -> tuple[str, ...]:
        """All names of the first kind that contains ``name``, case-sensitive; () for an unknown name."""
        return self._kinds.get(name, ())

    @cached_property
    def _kinds(self) -> dict[str, tuple[str, ...]]:
        kinds: dict[str, tuple[str, ...]] = {}
        for names in self.lists.values():
            for name in names:
                kinds.setdefault(name, names)
        return kinds

    @cached_property
    def longest(self) -> int:
        """Number of words of the longest name."""
        return max(len(name.split()) for name in self._kinds)

    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of the content."""
        return hashlib.blake2b(json.dumps(self.lists).encode(), digest_size=8).hexdigest()

    def describe(self) -> dict[str, Any]:
        """The description of the lists in result files; JSON-ready."""
        counts = {kind: len(names) for kind, names in self.lists.items()}
        return {"source": self.source, "fingerprint": self.fingerprint(), "counts": counts}


def _is_list_of_names(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) and name.strip() for name in names)
