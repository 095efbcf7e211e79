"""``FileList`` and ``FileDict``: a list and a dict whose items are in a temporary file, not in memory."""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, Generic, TypeVar, overload

IN_MEMORY = 2**18
"""Bytes up to which a list stays in memory."""

Item = TypeVar("Item")
Key = TypeVar("Key")


class FileList(Sequence[Item], Generic[Item]):
    """A list to which items are only added; memory holds two numbers for each.

    Each access reads the item anew, so a change of an item that was read is not kept. The file has no name, and ends
    with the list. Pickled or copied, it is a list in memory.

    >>> words = FileList(["b", "a"])
    >>> words.append("c")
    >>> words.sort(key=lambda word: word)
    >>> words[0], words[1:], len(words), words == ["a", "b", "c"]
    ('a', ['b', 'c'], 3, True)
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)
        self._starts, self._sizes, self._end = array("q"), array("q"), 0
        self.extend(items)

    def append(self, item: Item) -> None:
        """Add an item."""
        content = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        self._file.seek(self._end)
        self._file.write(content)
        self._starts.append(self._end)
        self._sizes.append(len(content))
        self._end += len(content)

    def extend(self, items: Iterable[Item]) -> None:
        """Add items, read one at a time."""
        for item in items:
            self.append(item)

    def sort(self, key: Callable[[Item], Any]) -> None:
        """Order the items by a key, as ``list.sort`` does."""
        keys = [key(item) for item in self]
        order = sorted(range(len(self)), key=keys.__getitem__)
        self._starts = array("q", (self._starts[place] for place in order))
        self._sizes = array("q", (self._sizes[place] for place in order))

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Item]:
        return map(self._read, range(len(self)))

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        places = range(len(self))[place]
        return self._read(places) if isinstance(places, int) else [self._read(each) for each in places]

    def _read(self, place: int) -> Item:
        self._file.seek(self._starts[place])
        item: Item = pickle.loads(self._file.read(self._sizes[place]))
        return item

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self):,} items in a file>"

    def __reduce__(self) -> tuple[type[list[Item]], tuple[list[Item]]]:
        return list, (list(self),)


class FileDict(Mapping[Key, Item], Generic[Key, Item]):
    """A dict whose keys are in memory and whose values are in a ``FileList``.

    >>> table = FileDict()
    >>> table["good"] = ["fine"]
    >>> table["good"], "bad" in table
    (['fine'], False)
    """

    def __init__(self) -> None:
        self._places: dict[Key, int] = {}
        self._values = FileList[Item]()

    def __setitem__(self, key: Key, value: Item) -> None:
        self._places[key] = len(self._values)
        self._values.append(value)

    def __getitem__(self, key: Key) -> Item:
        return self._values[self._places[key]]

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[Key]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
