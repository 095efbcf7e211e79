"""How much of a data set's words a lexicon has substitutes for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from hf_robust.lexicons.base import Lexicon
from hf_robust.words import Text


class Coverage(NamedTuple):
    """Counts over the open words of a number of texts.

    Args:
        words, covered_words: open words, each as often as it occurs, and those of them that have a substitute.
        texts, covered_texts: texts, and those of them with an open word that has a substitute.
    """

    words: int
    covered_words: int
    texts: int
    covered_texts: int

    @property
    def word_share(self) -> float:
        """Share of open words that have a substitute; 0 where there is none."""
        return self.covered_words / self.words if self.words else 0.0

    @property
    def text_share(self) -> float:
        """Share of texts with a substitute; 0 where there is none."""
        return self.covered_texts / self.texts if self.texts else 0.0


def coverage(
    lexicon: Lexicon, texts: Iterable[Text], open_words: Callable[[Text], Collection[int]] | None = None
) -> Coverage:
    """Count what ``lexicon`` covers.

    ``open_words`` gives the numbers of the words that may change (an attack's, or those that a model reads); all of
    them by default.

    >>> from hf_robust.lexicons.base import TableLexicon
    >>> coverage(TableLexicon({"good": ["fine"]}), [Text(("a good, good film",)), Text(("a plot",))])
    Coverage(words=6, covered_words=2, texts=2, covered_texts=1)
    """
    words = covered_words = number = covered_texts = 0
    for text in texts:
        chosen = range(len(text.words)) if open_words is None else open_words(text)
        covered = sum(bool(text.substitutes(index, lexicon)) for index in chosen)
        words, covered_words = words + len(chosen), covered_words + covered
        number, covered_texts = number + 1, covered_texts + bool(covered)
    return Coverage(words, covered_words, number, covered_texts)
