"""``Draft``: a text that a search made from the clean text, and the words that it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import SequenceMatcher
from functools import cached_property

from hf_robust.words import Text

Reader = Callable[[Text], frozenset[int] | None]


class Draft:
    """A text in a search, made from another draft by swapping words.

    Word numbers count the words of the present text. A swap can split or delete a word; the numbers of all later words
    then shift, as in TextAttack, also those of words that were changed before.

    Attributes:
        text: the columns and words.
        parent: the draft that this one was made from; None for the clean text.
        swaps: new words by their number in the parent; "" deletes the word.
        similarity: similarity to the reference text; None if it was not measured.
        reader: returns the words that the model reads, for a truncated text and an attack that does not change unread
            words; else None.
    """

    def __init__(
        self,
        text: Text,
        parent: Draft | None = None,
        swaps: Mapping[int, str] | None = None,
        modified: Iterable[int] | None = None,
        reader: Reader | None = None,
    ) -> None:
        self.text, self.parent, self.swaps = text, parent, dict(swaps or {})
        self.reader: Reader | None = reader if parent is None else parent.reader
        self.similarity: float | None = None
        self._modified_override = None if modified is None else frozenset(modified)

    @cached_property
    def words_read(self) -> frozenset[int] | None:
        """Numbers of the words that the model reads; None for all words."""
        return None if self.reader is None else self.reader(self.text)

    @property
    def length(self) -> int:
        """Number of words that the model reads: the denominator of shares of changed words."""
        return len(self.words) if self.words_read is None else len(self.words_read)

    @property
    def origin(self) -> Draft:
        """The draft before any swap."""
        draft = self
        while draft.parent is not None:
            draft = draft.parent
        return draft

    def swap(self, index: int, new: str) -> Draft:
        """Return the draft with word ``index`` replaced by ``new``, or deleted for ""."""
        text = self.text.replace({index: new}) if new else self.text.delete(index)
        return Draft(text, self, {index: new})

    def swap_many(self, swaps: Mapping[int, str], modified: Iterable[int] | None = None) -> Draft:
        """Return the draft with several words replaced; ``modified`` overrides which words count as changed."""
        return Draft(self.text.replace(swaps), self, swaps, modified)

    def become(self, columns: tuple[str, ...]) -> Draft:
        """Return a text from elsewhere as a draft of this one; the swaps come from an alignment of the words."""
        text = self.text.like(columns)
        return Draft(text, self, aligned(self.text.tokens, text.tokens))

    def rewritten(self, columns: tuple[str, ...]) -> Draft:
        """Return a text in other words as a draft of this one; the swaps come from the longest equal runs of words.

        Unlike in ``become``, words are not compared position by position if both texts have equally many.
        """
        text = self.text.like(columns)
        return Draft(text, self, _realigned(self.text.tokens, text.tokens))

    def place_of(self, index: int) -> int | None:
        """Present number of the clean text's word ``index``; None for a deleted word.

        For a word that was split, it is the number of the first part.
        """
        if self.parent is None:
            return index
        place = self.parent.place_of(index)
        if place is None or self.swaps.get(place) == "":
            return None
        return place + sum(len(self.text.rule.split(new)) - 1 for at, new in self.swaps.items() if at < place)

    @property
    def keeps_count(self) -> bool:
        """Whether the last swaps replaced each word by exactly one word."""
        return all(self.text.rule.is_one_word(new) for new in self.swaps.values())

    @cached_property
    def words(self) -> list[str]:
        """``text.tokens``, copied from the parent if the number of words is unchanged: splitting again is slow."""
        if self.parent is None or not self.keeps_count:
            return self.text.tokens
        words = list(self.parent.words)
        for index, new in self.swaps.items():
            words[index] = new
        return words

    @property
    def keys(self) -> list[str]:
        """``text.keys``, without splitting the text again where words are their own keys."""
        return self.words if self.text.rule.keys_are_words else self.text.keys

    @cached_property
    def last_modified(self) -> frozenset[int]:
        """Numbers of the words that the last swaps made."""
        return frozenset(self._modifications[1])

    @cached_property
    def modified(self) -> frozenset[int]:
        """Numbers of all words that were changed since the clean text."""
        return self._modified_override if self._modified_override is not None else frozenset(self._modifications[0])

    @cached_property
    def _modifications(self) -> tuple[set[int], set[int]]:
        modified = set(self.parent.modified) if self.parent is not None else set()
        last_modified: set[int] = set()
        moved = 0
        for index in sorted(self.swaps):
            if self.parent is not None and self.swaps[index] == self.parent.text.tokens[index]:
                continue
            count = len(self.text.rule.split(self.swaps[index]))
            if count != 1:
                # By the parent's numbers, as in TextAttack: shifts by earlier swaps of the same step do not count.
                modified = {old + (count - 1) * (old > index) for old in modified if old != index}
            new_words = range(index + moved, index + moved + count)
            modified.update(new_words)
            last_modified.update(new_words)
            moved += count - 1
        return modified, last_modified

    def changes(self, original: Text) -> list[list[object]]:
        """``[index, old, new]`` for each changed word of the original.

        If a swap split or deleted a word: all swaps in their order, each numbered in the text that it changed.
        """
        if not self._resized and len(self.words) == len(original.tokens):
            pairs = enumerate(zip(original.tokens, self.words, strict=True))
            return [[index, old, new] for index, (old, new) in pairs if old != new]
        steps: list[list[object]] = []
        draft: Draft | None = self
        while draft is not None and draft.parent is not None:
            old = draft.parent.text.tokens
            steps[:0] = [[index, old[index], new] for index, new in sorted(draft.swaps.items()) if old[index] != new]
            draft = draft.parent
        return steps

    @property
    def _resized(self) -> bool:
        draft: Draft | None = self
        while draft is not None:
            # "_y" counts as one word, but the text then holds "y".
            if not draft.keeps_count:
                return True
            draft = draft.parent
        return False


def aligned(old: list[str], new: list[str]) -> dict[int, str]:
    """New words by number in ``old``: position by position for equal counts, else by the longest equal runs."""
    if len(old) == len(new):
        return {index: after for index, (before, after) in enumerate(zip(old, new, strict=True)) if before != after}
    return _realigned(old, new)


def _realigned(old: list[str], new: list[str]) -> dict[int, str]:
    """New words by number in ``old``, by the longest equal runs of words."""
    swaps: dict[int, str] = {}
    for kind, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal" or not old:
            continue
        # An inserted word is joined to the word behind it, or to the last word.
        where = min(start, len(old) - 1)
        neighbour = [old[where]] if start == end else []
        words = [*neighbour, *new[first:last]] if start == len(old) else [*new[first:last], *neighbour]
        swaps.update({index: "" for index in range(start, end)})
        swaps[where] = " ".join(words)
    return swaps
