"""A text as words with their places, so that a word can be swapped without touching any other character."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# TextAttack also takes a list of look-alike letters for word characters; all but these three are in \w already.
_LOOK_ALIKES = "\u02d7`\u00d7"
# These may stand inside a word ("don't", "well-made") but do not begin or end one.
_INNER = "'-_*@"
_RUN = re.compile(rf"[\w{_LOOK_ALIKES}'\-_*@]+")


class Word(NamedTuple):
    """One word: its text, the column it stands in, and its span inside ``columns[column]``."""

    text: str
    column: int
    start: int
    end: int


def split_words(text: str) -> list[tuple[str, int, int]]:
    """TextAttack's words of one string, as ``(word, start, end)``.

    A word is a run of letters, digits and ``'-_*@``, without ``'-_*@`` at its ends; case is kept. Differs from
    TextAttack: Chinese text is not segmented (no jieba), so a run of its characters is one word.

    >>> [word for word, _, _ in split_words("It's a -well-made- film.")]
    ["It's", 'a', 'well-made', 'film']
    """
    words = []
    for run in _RUN.finditer(text):
        found = run.group()
        left = found.lstrip(_INNER)
        word = left.rstrip(_INNER)
        if word:
            start = run.end() - len(left)
            words.append((word, start, start + len(word)))
    return words


def is_one_word(substitute: str) -> bool:
    """Whether a text's words stay as many when one of them becomes ``substitute``.

    >>> is_one_word("well-made"), is_one_word("New York"), is_one_word("'tis"), is_one_word("")
    (True, False, False, False)
    """
    return [word for word, _, _ in split_words(substitute)] == [substitute]


@dataclass(frozen=True)
class Text:
    """One example's text columns, and their words in column order, then reading order.

    Immutable: ``replace`` and ``delete`` return a new Text, whose words are split again when first asked for (so a
    replacement of two words, or of none, moves the later indices).

    >>> text = Text(("A good, good film",))
    >>> text.replace({1: "fine"}).columns
    ('A fine, good film',)
    >>> text.delete(0).columns
    ('good, good film',)
    """

    columns: tuple[str, ...]

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """The words of all columns."""
        return tuple(
            Word(word, number, start, end)
            for number, column in enumerate(self.columns)
            for word, start, end in split_words(column)
        )

    @cached_property
    def tokens(self) -> list[str]:
        """The words' strings alone."""
        return [word.text for word in self.words]

    @property
    def joined(self) -> str:
        """The columns joined by a line break: the key by which texts are sorted."""
        return "\n".join(self.columns)

    def variants(self, index: int, substitutes: Sequence[str]) -> list[tuple[str, ...]]:
        """The columns of each text in which word ``index`` is replaced by one of ``substitutes``."""
        _, number, start, end = self.words[index]
        column = self.columns[number]
        before, after = column[:start], column[end:]
        left, right = self.columns[:number], self.columns[number + 1 :]
        return [(*left, before + new + after, *right) for new in substitutes]

    def replace(self, swaps: Mapping[int, str]) -> Text:
        """The text with the words at these indices replaced; every other character stays. ``replace({}) == self``."""
        columns = list(self.columns)
        for index in sorted(swaps, reverse=True):
            _, number, start, end = self.words[index]
            columns[number] = columns[number][:start] + swaps[index] + columns[number][end:]
        return Text(tuple(columns))

    def delete(self, index: int) -> Text:
        """The text without word ``index`` and one space beside it.

        As in TextAttack, the space that follows goes with the very first word, the preceding one with any other, and
        none where no text remains after the word.
        """
        _, number, start, end = self.words[index]
        column = self.columns[number]
        if end < len(column) or number + 1 < len(self.columns):
            if index == 0:
                end += column[end : end + 1] == " "
            else:
                start -= column[max(start - 1, 0) : start] == " "
        return self.replace_span(number, start, end)

    def replace_span(self, number: int, start: int, end: int, new: str = "") -> Text:
        """The text with characters ``start..end`` of column ``number`` replaced by ``new``."""
        column = self.columns[number]
        return Text((*self.columns[:number], column[:start] + new + column[end:], *self.columns[number + 1 :]))
