"""``Text``: a text with the positions of its words, so that a swap changes no other character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from hf_robust.words.word_rules import UNICODE_WORDS, LookUp, Word, WordRule


@dataclass(frozen=True)
class Text:
    """The text columns of one example, and their words, sorted by column and position.

    It is immutable: ``replace`` and ``delete`` return a new Text, whose words are split again at first use. So a
    replacement by two words, or by none, shifts the later word numbers. ``rule`` defines what a word is.

    >>> text = Text(("A good, good film",))
    >>> text.replace({1: "fine"}).columns
    ('A fine, good film',)
    >>> text.delete(0).columns
    ('good, good film',)
    """

    columns: tuple[str, ...]
    rule: WordRule = UNICODE_WORDS

    def like(self, columns: Sequence[str]) -> Text:
        """A text with other columns and the same rule."""
        return Text(tuple(columns), self.rule)

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """The words of all columns."""
        return tuple(
            Word(word, number, start, end)
            for number, column in enumerate(self.columns)
            for word, start, end in self.rule.split(column)
        )

    @cached_property
    def tokens(self) -> list[str]:
        """The strings of the words."""
        return [word.text for word in self.words]

    @cached_property
    def keys(self) -> list[str]:
        """The lookup key of each word; "" for the parts of a separated contraction (``WordRule.keys``)."""
        return self.rule.keys(self.words)

    def substitutes(self, index: int, look_up: LookUp) -> list[str]:
        """A lexicon's substitutes of word ``index``, in the word's case and with its apostrophe.

        >>> table = {"good": ["fine"], "re": ["sos"]}
        >>> [Text(("GOOD, they 're",)).substitutes(index, lambda word: table.get(word, [])) for index in range(3)]
        [['FINE'], [], []]
        """
        return self.rule.substitutes(self.tokens[index], look_up) if self.keys[index] else []

    def is_listed(self, index: int, words: Set[str]) -> bool:
        """Whether a list, such as one of stop words, contains word ``index``."""
        return self.rule.is_listed(self.keys[index], words)

    @property
    def joined(self) -> str:
        """The columns joined by a line break, by which texts are sorted."""
        return "\n".join(self.columns)

    def variants(self, index: int, substitutes: Sequence[str]) -> list[tuple[str, ...]]:
        """The columns of the texts that replace word ``index`` by each of ``substitutes``."""
        _, number, start, end = self.words[index]
        column = self.columns[number]
        before, after = column[:start], column[end:]
        left, right = self.columns[:number], self.columns[number + 1 :]
        return [(*left, before + new + after, *right) for new in substitutes]

    def replace(self, swaps: Mapping[int, str]) -> Text:
        """The text with these words replaced; no other character changes. ``replace({}) == self``."""
        columns = list(self.columns)
        for index in sorted(swaps, reverse=True):
            _, number, start, end = self.words[index]
            columns[number] = columns[number][:start] + swaps[index] + columns[number][end:]
        return self.like(columns)

    def delete(self, index: int) -> Text:
        """The text without word ``index`` and one space beside it.

        As in TextAttack, this is the following space for the first word and the preceding space for other words; no
        space is removed if no text follows the word.
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
        return self.like((*self.columns[:number], column[:start] + new + column[end:], *self.columns[number + 1 :]))
