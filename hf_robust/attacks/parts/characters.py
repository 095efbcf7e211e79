"""Misspelt words: one character swapped, replaced, dropped, added, or exchanged for one that looks alike."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.parts.candidates import Candidates, Luck
from hf_robust.words import Text

HOMOGLYPHS = dict(
    zip(
        "-9876543210'abcdefghijklmnopqrstuvwxyz",
        "˗৭Ȣ𝟕бƼᏎƷᒿlO`ɑЬϲԁе𝚏ɡհіϳ𝒌ⅼｍոорԛⲅѕ𝚝սѵԝ×уᴢ",
        strict=True,
    )
)
"""A character and one that looks like it (TextBugger's Sub-C, as TextAttack fills it in)."""


def swap_neighbours(word: str, luck: Luck, inner: bool) -> Sequence[str]:
    """Two neighbouring characters change places."""
    first, last = (1, len(word) - 2) if inner else (0, len(word) - 1)
    if first >= last:
        return []
    place = luck.numpy.randint(first, last)
    return [word[:place] + word[place + 1] + word[place] + word[place + 2 :]]


def substitute(word: str, luck: Luck, inner: bool) -> Sequence[str]:
    """A random letter takes the place of a character."""
    place = luck.numpy.randint(0, len(word))
    return [word[:place] + luck.python.choice(string.ascii_letters) + word[place + 1 :]]


def delete(word: str, luck: Luck, inner: bool) -> Sequence[str]:
    """A character is dropped."""
    first, last = _span(word, inner)
    if first >= last:
        return []
    place = luck.numpy.randint(first, last)
    return [word[:place] + word[place + 1 :]]


def insert(word: str, luck: Luck, inner: bool) -> Sequence[str]:
    """A random letter is added."""
    return _insert(word, luck, inner, string.ascii_letters)


def insert_space(word: str, luck: Luck, inner: bool) -> Sequence[str]:
    """A space is added, so that the word becomes two."""
    return _insert(word, luck, inner, " ")


def look_alikes(word: str, luck: Luck, inner: bool) -> Sequence[str]:
    """Each character in turn, where it has one, becomes a character that looks like it. Nothing is drawn."""
    pairs = enumerate(word)
    return [word[:place] + HOMOGLYPHS[one] + word[place + 1 :] for place, one in pairs if one in HOMOGLYPHS]


def _insert(word: str, luck: Luck, inner: bool, letters: str) -> Sequence[str]:
    first, last = _span(word, inner)
    if first >= last:
        return []
    place = luck.numpy.randint(first, last)
    # The letter is drawn even where there is but one: the next draw must be TextAttack's.
    return [word[:place] + luck.python.choice(letters) + word[place:]]


def _span(word: str, inner: bool) -> tuple[int, int]:
    return (1, len(word) - 1) if inner else (0, len(word))


Edit = Callable[[str, Luck, bool], Sequence[str]]


@dataclass(frozen=True)
class Misspell(Candidates):
    """One edit of a word. With ``inner`` its first and last character stay.

    Words of one character are left alone, but for look-alikes. All edits but look-alikes draw one place in the word
    each time they are asked, so they are not planned.
    """

    edit: Edit
    inner: bool = False

    @property
    def planned(self) -> bool:  # type: ignore[override]
        return self.edit is look_alikes

    def substitutes(self, text: Text, index: int, luck: Luck) -> Iterable[str]:
        word = text.tokens[index]
        if len(word) <= 1 and self.edit is not look_alikes:
            return []
        return [new for new in self.edit(word, luck, self.inner) if new != word]

    def describe(self) -> dict[str, Any]:
        return {"name": self.edit.__name__, "inner": self.inner}

    def fingerprint(self) -> str:
        return f"{self.edit.__name__} {self.inner}"
