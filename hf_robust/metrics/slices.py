"""Parts of a data set by what its texts say: GradMask's linguistic slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hf_robust.words import UNICODE_WORDS, folded

Slice = Callable[[Sequence[str]], bool]

PRINTED_WORDS: dict[str, frozenset[str]] = {
    "negation": frozenset({"not", "no", "never"}),
    "ambiguity": frozenset({"maybe", "possibly"}),
}
"""The words that the paper prints."""

MORE_WORDS: dict[str, frozenset[str]] = {
    "negation": frozenset({"n't", "nobody", "nothing", "none", "nor", "without"}),
    "ambiguity": frozenset({"perhaps", "might", "may", "could"}),
}
"""Ours beside them; ``n't`` stands for every word that ends so."""

LONG = 20
"""A text column of more words than this is long."""


def slices(printed_only: bool = False) -> Mapping[str, Slice]:
    """The slices by name, each a question about the text columns of one example: negation, ambiguity, long.

    The paper's lists are short; ours are longer by default, so that "nobody" is a negation too. Words are whole ones
    ("nothing" holds no "not"), in any case; a month called May is taken for the verb.

    >>> [name for name, holds in slices().items() if holds(("Nobody may see it.", "A film."))]
    ['negation', 'ambiguity']
    >>> [name for name, holds in slices(printed_only=True).items() if holds(("Nobody may see it.", "A film."))]
    []
    """
    found: dict[str, Slice] = {}
    for name, printed in PRINTED_WORDS.items():
        found[name] = partial(has_word, printed if printed_only else printed | MORE_WORDS[name])
    found["long"] = partial(is_longer, LONG)
    return found


def has_word(wanted: frozenset[str], columns: Sequence[str]) -> bool:
    """Whether a text column holds one of these words, whole; ``n't`` is every word that ends so."""
    words = (word for column in columns for word in words_of(column))
    return any(word in wanted or ("n't" in wanted and word.endswith(("n't", "'t"))) for word in words)


def is_longer(than: int, columns: Sequence[str]) -> bool:
    """Whether a text column has more words than this."""
    return any(len(words_of(column)) > than for column in columns)


def words_of(column: str) -> list[str]:
    """The words of a text in lower case."""
    return [folded(word) for word, _, _ in UNICODE_WORDS.split(column)]
