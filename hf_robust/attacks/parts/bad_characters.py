"""Imperceptible perturbations: a text that looks the same, or nearly, and is other characters to a model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from hf_robust.attacks.engine.requests import Columns
from hf_robust.attacks.parts.candidates import Candidates, RandomStates
from hf_robust.words import Text

_LOOKS_LIKE = (
    "!ǃ AΑ BΒ CС EΕ HΗ IΙ JЈ KΚ MΜ NΝ OΟ PΡ SЅ TΤ XΧ YΥ ZΖ aа cс dԁ eе hһ iі jϳ oο pр sѕ xх yу ÆӔ ÐĐ æӕ ĸк ƂБ ƏӘ "
    "ƟӨ ƩΣ ǝə ɅΛ əә ɛε ɩι ɪӏ ɵө ʒӡ ʙв ʜн ΓГ ΠП α⍺ ι⍳ ρ⍴ ω⍵ гᴦ лᴫ пᴨ ဝ၀ អឣ ᠵᡕ ᦞ᧐ ᦱ᧑ ᩅ᪀ ᩅ᪐ ᬍ᭒ ᬑ᭓ ᬨ᭘ ᭐᭜ ᴍм ᴘᴩ ᴛт "
    "ⱧҢ ⱩҚ ꧐꧆ 𐎂𐏑 𐎓𐏓 𐎚𒀸 𐒆𐒠"
)
INTENTIONAL: dict[str, tuple[str, ...]] = {}
"""Character -> characters that were designed to look the same: intentional.txt of Unicode Technical Standard 39,
version 16.0 (Unicode, Inc., https://www.unicode.org/reports/tr39; Unicode License v3)."""
for _pair in _LOOKS_LIKE.split():
    INTENTIONAL[_pair[0]] = (*INTENTIONAL.get(_pair[0], ()), _pair[1])

INVISIBLE = ("\u200b", "\u200c", "\u200d")
"""Zero-width space, non-joiner and joiner."""
BACKSPACE = "\b"
SHIFT = 2
"""Number of characters that a deletion inserts."""
FIRST_PRINTABLE, LAST_PRINTABLE = ord("!"), ord("~")
SWAPPED = "\u202d\u2066\u202e\u2066{}\u2069\u2066{}\u2069\u202c\u2069\u202c"
"""Two characters in the order of the bytes; the controls of the bidirectional algorithm (LRO, LRI, RLO, PDI, PDF)
show the second one first."""


class Place(NamedTuple):
    """A character of a text: its column, its offset there, and what replaces it ("" unless it has a look-alike)."""

    column: int
    offset: int
    new: str = ""


class Space(NamedTuple):
    """The vectors of numbers that make perturbed texts of one text: ``(low, high)`` of each number, and the text
    (its columns) of a vector."""

    bounds: list[tuple[int, int]]
    write: Callable[[Sequence[float]], Columns]


@dataclass(frozen=True)
class BadCharacters(Candidates):
    """Perturbs ``count`` places of a text (the budget of Boucher et al. 2022), each given by one or two numbers.

    A number is rounded and, if it is negative, counts as 0. The lowest number of a place is -1, which the paper means
    as "no perturbation"; in its code and in TextAttack it is place 0, so that every vector perturbs ``count`` times.
    Places are those of open words and between words.
    """

    count: int = 1
    planned = False
    name: ClassVar[str]

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(
                f"--num_bad_characters must be at least 1, got {self.count}; the paper uses 1 to 5 perturbations."
            )

    def space(self, text: Text, open_words: set[int], frozen: Iterable[int] = ()) -> Space | None:
        """The vectors for a text; None if it has no place to perturb."""
        closed = {
            (word.column, offset)
            for index, word in enumerate(text.words)
            if index not in open_words
            for offset in range(word.start, word.end)
        }
        places = [
            Place(number, offset, new)
            for number, column in enumerate(text.columns)
            if number not in set(frozen)
            for offset, new in self.options(column)
            if (number, offset) not in closed
        ]
        if not places:
            return None

        def write(vector: Sequence[float]) -> Columns:
            columns = [list(column) for column in text.columns]
            self.perturb(columns, places, [round(float(number)) for number in vector])
            return tuple("".join(column) for column in columns)

        return Space(self.bounds(len(places)) * self.count, write)

    def options(self, column: str) -> list[tuple[int, str]]:
        """The offsets of a column that can be perturbed, each with its replacement if it is replaced."""
        return [(offset, "") for offset in range(len(column))]

    def bounds(self, num_places: int) -> list[tuple[int, int]]:
        """``(low, high)`` of the numbers of one perturbation."""
        return [(-1, num_places - 1)]

    @abstractmethod
    def perturb(self, columns: list[list[str]], places: Sequence[Place], numbers: Sequence[int]) -> None:
        """Perturb the columns, lists of characters, in place; each perturbation sees the result of those before."""

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        return []

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "count": self.count}

    def fingerprint(self) -> str:
        return f"{self.name} {self.count}"


class Homoglyphs(BadCharacters):
    """Replaces characters by characters that look the same (``INTENTIONAL``)."""

    name = "homoglyphs"

    def options(self, column: str) -> list[tuple[int, str]]:
        return [(offset, new) for offset, letter in enumerate(column) for new in INTENTIONAL.get(letter, ())]

    def perturb(self, columns: list[list[str]], places: Sequence[Place], numbers: Sequence[int]) -> None:
        for number in numbers:
            place = places[max(number, 0)]
            columns[place.column][place.offset] = place.new


class InvisibleCharacters(BadCharacters):
    """Inserts zero-width characters (``INVISIBLE``)."""

    name = "invisible characters"

    def bounds(self, num_places: int) -> list[tuple[int, int]]:
        return [(0, len(INVISIBLE) - 1), (-1, num_places - 1)]

    def perturb(self, columns: list[list[str]], places: Sequence[Place], numbers: Sequence[int]) -> None:
        for which, number in zip(numbers[::2], numbers[1::2], strict=True):
            place = places[max(number, 0)]
            columns[place.column].insert(place.offset, INVISIBLE[max(which, 0)])


class Deletions(BadCharacters):
    """Inserts a printable ASCII character and a backspace, which deletes it where the text is shown.

    Later perturbations move by two characters, whether or not they are behind the earlier one, as in the published
    code.
    """

    name = "deletions"

    def bounds(self, num_places: int) -> list[tuple[int, int]]:
        return [(-1, num_places - 1), (FIRST_PRINTABLE, LAST_PRINTABLE)]

    def perturb(self, columns: list[list[str]], places: Sequence[Place], numbers: Sequence[int]) -> None:
        for before, (number, code) in enumerate(zip(numbers[::2], numbers[1::2], strict=True)):
            place = places[max(number, 0)]
            offset = max(place.offset + min(number, 0) + SHIFT * before, 0)
            columns[place.column][offset:offset] = [chr(code), BACKSPACE]


class Reorderings(BadCharacters):
    """Exchanges two neighbouring characters and adds controls that show them in their old order (``SWAPPED``)."""

    name = "reorderings"

    def options(self, column: str) -> list[tuple[int, str]]:
        return super().options(column) if len(column) > 1 else []

    def perturb(self, columns: list[list[str]], places: Sequence[Place], numbers: Sequence[int]) -> None:
        for number in numbers:
            place = places[max(number, 0)]
            characters = columns[place.column]
            if len(characters) > 1:
                offset = min(place.offset, len(characters) - 2)
                first, second = characters[offset : offset + 2]
                characters[offset : offset + 2] = [SWAPPED.format(second, first)]
