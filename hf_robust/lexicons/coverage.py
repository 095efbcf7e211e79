"""The share of a text's words for which a lexicon has substitutes, and whether it is of their language."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from hf_robust.lexicons.base import Lexicon
from hf_robust.metrics import Coverage, sampled_rows
from hf_robust.metrics.rates import ratio
from hf_robust.words import NLTK_STOP_WORDS, Protection, Text

LARGE_TABLE, KNOWN_SHARE, MOST_TEXTS = 10_000, 0.6, 200
"""A table of so many words knows at least this share of a language's content words. Of English data sets (SST-2, TREC,
SMS spam, AG News, IMDB, MNLI, SNLI, ...) WordNet and counter-fitted neighbours know 75 to 93 %, of 26 German,
French and Spanish sentences 20 to 45 %."""


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


def unknown_words(lexicon: Lexicon, columns: Sequence[tuple[str, ...]]) -> str:
    """A sentence if a large English table of synonyms lacks most words of the texts, which may be of another language.

    Only content words count, written in letters, of at most ``MOST_TEXTS`` texts. Empty for a small table or for
    antonyms, which say nothing about the language.
    """
    if lexicon.relation != "synonym" or len(lexicon) < LARGE_TABLE:
        return ""
    texts = [Text(columns[row]) for row in sampled_rows(len(columns), MOST_TEXTS)]
    keys = [
        key
        for text in texts
        for index, key in enumerate(text.keys)
        if key.isalpha() and not text.is_listed(index, NLTK_STOP_WORDS)
    ]
    known = sum(bool(lexicon(key)) for key in keys)
    if not keys or ratio(known, len(keys)) >= KNOWN_SHARE:
        return ""
    return (
        f"{lexicon.source} knows only {known:,} of {len(keys):,} words of {len(texts):,} texts, and of English texts "
        "it knows 75 % or more: if the texts are of another language, give it (--language) and a table of it "
        "(--lexicon), since English substitutes fool a model without any meaning"
    )
