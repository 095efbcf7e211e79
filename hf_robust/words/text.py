"""A text as words with their places, so that a word can be swapped without touching any other character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from hf_robust.words.word_rules import UNICODE_WORDS, LookUp, Word, WordRule


@dataclass(frozen=True)
class Text:
    """One example's text columns, and their words in column order, then reading order.

    Immutable: ``replace`` and ``delete`` return a new Text, whose words are split again when first asked for (so a
    replacement of two words, or of none, moves the later indices). ``rule`` says what a word is.

    >>> text = Text(("A good, good film",))
    >>> text.replace({1: "fine"}).columns
    ('A fine, good film',)
    >>> text.delete(0).columns
    ('good, good film',)
    """

    columns: tuple[str, ...]
    rule: WordRule = UNICODE_WORDS

    def like(self, columns: Sequence[str]) -> Text:
        """Another text by the same rule."""
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
        """The words' strings alone."""
        return [word.text for word in self.words]

    @cached_property
    def keys(self) -> list[str]:
        """What each word is looked up by; "" for the parts of a contraction that stand alone (``WordRule.keys``)."""
        return self.rule.keys(self.words)

    def substitutes(self, index: int, look_up: LookUp) -> list[str]:
        """What may stand for word ``index`` by a lexicon, in the word's case and with its apostrophe.

        >>> table = {"good": ["fine"], "re": ["sos"]}
        >>> [Text(("GOOD, they 're",)).substitutes(index, lambda word: table.get(word, [])) for index in range(3)]
        [['FINE'], [], []]
        """
        return self.rule.substitutes(self.tokens[index], look_up) if self.keys[index] else []

    def is_listed(self, index: int, words: Set[str]) -> bool:
        """Whether word ``index`` is one of a list, as of stop words."""
        return self.rule.is_listed(self.keys[index], words)

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
        return self.like(columns)

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
        return self.like((*self.columns[:number], column[:start] + new + column[end:], *self.columns[number + 1 :]))
