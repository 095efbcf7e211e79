"""Misspelt words: one character is swapped, replaced, deleted or inserted, or becomes a similar one or a next key."""

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


NEXT_KEYS = dict(
    zip(
        "qwertyuiopasdfghjklzxcvbnm",
        (
            "was qeasd wsdfr edfgt rfghy tghju yhjki ujklo iklp ol "
            "qwszx qweadzx werfcxs ertgvcd rtyhbvd tyugjbn yuikmnh uiolmj iopk "
            "asx sdzc xdfv cfgb vghn bhjm njk"
        ).split(),
        strict=True,
    )
)
"""Letter -> letters on the keys around it, on a QWERTY keyboard, as TextAttack has them."""


def swap_neighbours(word: str, rng: RandomStates, inner: bool, every: bool) -> Sequence[str]:
    """Swap two neighbouring characters."""
    first, last = (1, len(word) - 2) if inner else (0, len(word) - 1)
    return [
        word[:place] + word[place + 1] + word[place] + word[place + 2 :] for place in _places(first, last, rng, every)
    ]


def substitute(word: str, rng: RandomStates, inner: bool, every: bool) -> Sequence[str]:
    """Replace a character by a random letter."""
    places = _places(*_span(word, inner), rng, every)
    return [word[:place] + rng.python.choice(string.ascii_letters) + word[place + 1 :] for place in places]


def delete(word: str, rng: RandomStates, inner: bool, every: bool) -> Sequence[str]:
    """Delete a character."""
    return [word[:place] + word[place + 1 :] for place in _places(*_span(word, inner), rng, every)]


def insert(word: str, rng: RandomStates, inner: bool, every: bool) -> Sequence[str]:
    """Insert a random letter."""
    return _insert(word, rng, inner, every, string.ascii_letters)


def insert_space(word: str, rng: RandomStates, inner: bool, every: bool) -> Sequence[str]:
    """Insert a space, which splits the word."""
    return _insert(word, rng, inner, every, " ")


def look_alikes(word: str, rng: RandomStates, inner: bool, every: bool) -> Sequence[str]:
    """Replace each character in turn by its look-alike, if it has one; without random draws."""
    pairs = enumerate(word)
    return [word[:place] + HOMOGLYPHS[letter] + word[place + 1 :] for place, letter in pairs if letter in HOMOGLYPHS]


def next_keys(word: str, rng: RandomStates, inner: bool, every: bool) -> Sequence[str]:
    """Replace each letter in turn by each letter on the keys around it, in its case; without random draws."""
    misspelt = []
    for place in range(*_span(word, inner)):
        keys = NEXT_KEYS.get(word[place].lower(), "")
        for key in keys.upper() if word[place].isupper() else keys:
            misspelt.append(word[:place] + key + word[place + 1 :])
    return misspelt


def _insert(word: str, rng: RandomStates, inner: bool, every: bool, letters: str) -> Sequence[str]:
    # The letter is drawn even if there is only one, so that later draws equal TextAttack's.
    places = _places(*_span(word, inner), rng, every)
    return [word[:place] + rng.python.choice(letters) + word[place:] for place in places]


def _span(word: str, inner: bool) -> tuple[int, int]:
    return (1, len(word) - 1) if inner else (0, len(word))


def _places(first: int, last: int, rng: RandomStates, every: bool) -> Iterable[int]:
    """All positions from ``first`` up to and excluding ``last``, or one of them at random."""
    if every or first >= last:
        return range(first, last)
    return [rng.numpy.randint(first, last)]


Edit = Callable[[str, RandomStates, bool, bool], Sequence[str]]


@dataclass(frozen=True)
class Misspell(Candidates):
    """Proposes one edit of a word. ``inner`` keeps its first and last character.

    Words of one character do not change, except to look-alikes. The position is drawn at random at each call, and so
    is an inserted letter; ``every`` proposes the edit at every position instead. Look-alikes and next keys are
    proposed at every position without draws, so they are planned.
    """

    edit: Edit
    inner: bool = False
    every: bool = False

    @property
    def planned(self) -> bool:  # type: ignore[override]
        return self.edit in (look_alikes, next_keys)

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        word = text.tokens[index]
        if len(word) <= 1 and self.edit is not look_alikes:
            return []
        return [new for new in self.edit(word, rng, self.inner, self.every) if new != word]

    def describe(self) -> dict[str, Any]:
        return {"name": self.edit.__name__, "inner": self.inner, **({"every": True} if self.every else {})}

    def fingerprint(self) -> str:
        return f"{self.edit.__name__} {self.inner}" + " every" * self.every


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
