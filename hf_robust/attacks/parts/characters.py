"""Words with one other character: swapped, replaced, deleted, inserted, or exchanged for a similar one."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_robust.attacks.parts.candidates import Candidates, RandomStates
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.lexicons import Lexicon

HOMOGLYPHS = dict(
    zip(
        "-9876543210'abcdefghijklmnopqrstuvwxyz",
        "˗৭Ȣ𝟕бƼᏎƷᒿlO`ɑЬϲԁе𝚏ɡհіϳ𝒌ⅼｍոорԛⲅѕ𝚝սѵԝ×уᴢ",
        strict=True,
    )
)
"""Character -> look-alike character (TextBugger's Sub-C, with TextAttack's choice of characters)."""


def swap_neighbours(word: str, rng: RandomStates, inner: bool) -> Sequence[str]:
    """Swap two neighbouring characters."""
    first, last = (1, len(word) - 2) if inner else (0, len(word) - 1)
    if first >= last:
        return []
    place = rng.numpy.randint(first, last)
    return [word[:place] + word[place + 1] + word[place] + word[place + 2 :]]


def substitute(word: str, rng: RandomStates, inner: bool) -> Sequence[str]:
    """Replace a character by a random letter."""
    place = rng.numpy.randint(0, len(word))
    return [word[:place] + rng.python.choice(string.ascii_letters) + word[place + 1 :]]


def delete(word: str, rng: RandomStates, inner: bool) -> Sequence[str]:
    """Delete a character."""
    first, last = _span(word, inner)
    if first >= last:
        return []
    place = rng.numpy.randint(first, last)
    return [word[:place] + word[place + 1 :]]


def insert(word: str, rng: RandomStates, inner: bool) -> Sequence[str]:
    """Insert a random letter."""
    return _insert(word, rng, inner, string.ascii_letters)


def insert_space(word: str, rng: RandomStates, inner: bool) -> Sequence[str]:
    """Insert a space, which splits the word."""
    return _insert(word, rng, inner, " ")


def look_alikes(word: str, rng: RandomStates, inner: bool) -> Sequence[str]:
    """Replace each character in turn by its look-alike, if it has one; without random draws."""
    pairs = enumerate(word)
    return [word[:place] + HOMOGLYPHS[letter] + word[place + 1 :] for place, letter in pairs if letter in HOMOGLYPHS]


def _insert(word: str, rng: RandomStates, inner: bool, letters: str) -> Sequence[str]:
    first, last = _span(word, inner)
    if first >= last:
        return []
    place = rng.numpy.randint(first, last)
    # The letter is drawn even if there is only one, so that later draws equal TextAttack's.
    return [word[:place] + rng.python.choice(letters) + word[place:]]


def _span(word: str, inner: bool) -> tuple[int, int]:
    return (1, len(word) - 1) if inner else (0, len(word))


Edit = Callable[[str, RandomStates, bool], Sequence[str]]


@dataclass(frozen=True)
class Misspell(Candidates):
    """Proposes one edit of a word. ``inner`` keeps its first and last character.

    Words of one character do not change, except to look-alikes. All edits except look-alikes draw a random position at
    each call, so they are not planned.
    """

    edit: Edit
    inner: bool = False

    @property
    def planned(self) -> bool:  # type: ignore[override]
        return self.edit is look_alikes

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        word = text.tokens[index]
        if len(word) <= 1 and self.edit is not look_alikes:
            return []
        return [new for new in self.edit(word, rng, self.inner) if new != word]

    def describe(self) -> dict[str, Any]:
        return {"name": self.edit.__name__, "inner": self.inner}

    def fingerprint(self) -> str:
        return f"{self.edit.__name__} {self.inner}"


@dataclass(frozen=True)
class SimilarCharacters(Candidates):
    """Proposes a word with one character replaced by each of its substitutes in a table (homophones, look-alikes)."""

    table: Lexicon

    @property
    def lookup(self) -> Candidates:
        return self

    @property
    def flag(self) -> str:
        return "--similar_characters"

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        word = text.tokens[index]
        places = enumerate(word)
        changed = [word[:place] + new + word[place + 1 :] for place, letter in places for new in self.table(letter)]
        return [new for new in dict.fromkeys(changed) if new != word]

    def describe(self) -> dict[str, Any]:
        return {"name": "similar_characters", "lexicon": self.table.describe()}

    def fingerprint(self) -> str:
        return f"similar_characters {self.table.fingerprint()}"
