"""The share of a text's words for which a lexicon has substitutes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from hf_robust.lexicons.base import Lexicon
from hf_robust.metrics import Coverage
from hf_robust.words import Protection, Text


def lexicon_coverage(
    lexicon: Lexicon,
    texts: Iterable[Text],
    protection: Protection | None = None,
    open_words: Callable[[Text], Collection[int]] | None = None,
) -> Coverage:
    """Count the words of these texts that have substitutes.

    Args:
        protection: words that it closes are left out.
        open_words: returns the numbers of the words that may change (in an attack, or those that a model reads); None
            for all words.

    >>> from hf_robust.lexicons import TableLexicon
    >>> lexicon_coverage(TableLexicon({"good": ["fine"]}), [Text(("a good, good film",)), Text(("a plot",))])
    Coverage(open_words=6, covered_words=2, texts=2, covered_texts=1)
    """

    def count(text: Text) -> tuple[int, int]:
        closed = protection.closed(text) if protection else frozenset()
        chosen = range(len(text.words)) if open_words is None else open_words(text)
        open_indices = [index for index in chosen if index not in closed]
        return sum(bool(text.substitutes(index, lexicon)) for index in open_indices), len(open_indices)

    return Coverage.of(map(count, texts))
