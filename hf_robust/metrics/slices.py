"""Parts of a data set by what its texts say: GradMask's linguistic slices.

Slices of the user's own: parts of a data set by words, by a pattern, or by length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

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


_KINDS = ("words", "pattern", "longer_than")


def custom_slices(given: Mapping[str, Any]) -> dict[str, Slice]:
    r"""The slices by name, each a question about the text columns of one example, as `slices` gives its own.

    A slice is a list of words, or an object with one of

    - ``"words"``: texts that hold one of these, whole and in any case. Several words with blanks between them stand in
      a row (``"at least"``); ``"n't"`` is every word that ends so.
    - ``"pattern"``: texts in which a regular expression is found, in any case.
    - ``"longer_than"``: texts of more words than this.

    Any text column may do; ``"column": 2`` beside it asks the second alone.

    >>> given = {"numbers": ["one", "two"], "question": {"pattern": r"\?$", "column": 2}, "long": {"longer_than": 5}}
    >>> [name for name, holds in custom_slices(given).items() if holds(("Two men.", "Who are they?"))]
    ['numbers', 'question']

    Raises:
        ValueError: a slice is none of these.
    """
    return {name: _own(name, value) for name, value in given.items()}


def _own(name: str, value: Any) -> Slice:
    told = {"words": value} if isinstance(value, list) else value
    kinds = [kind for kind in _KINDS if kind in told] if isinstance(told, dict) else []
    if len(kinds) != 1 or not set(told) <= {*kinds, "column"}:
        raise ValueError(
            f"the slice {name!r} must be a list of words, or an object with one of {', '.join(_KINDS)} and, if it is "
            f"of one text column alone, column; got {value!r:.80}."
        )
    (kind,), column = kinds, told.get("column")
    if column not in (None, 1, 2) or isinstance(column, bool):
        raise ValueError(f"the column of the slice {name!r} must be 1 or 2, got {column!r}.")
    holds = _CHECKED[kind](name, told[kind])
    return holds if column is None else partial(_of_column, column, holds)


def _of_column(column: int, holds: Slice, columns: Sequence[str]) -> bool:
    return holds(columns[column - 1 : column])


def _words(name: str, wanted: Any) -> Slice:
    if not isinstance(wanted, list) or not wanted or not all(isinstance(one, str) for one in wanted):
        raise ValueError(f"the slice {name!r} needs a list of words, each a text, got {wanted!r:.80}.")
    cut = {one: tuple(words_of(one)) for one in wanted if one != "n't"}
    empty = next((one for one, words in cut.items() if not words), None)
    if empty is not None:
        raise ValueError(f"the slice {name!r} has {empty!r} among its words, which holds none; give it as a pattern.")
    single = frozenset(words[0] for words in cut.values() if len(words) == 1) | ({"n't"} & {*wanted})
    return partial(_has_any, single, [words for words in cut.values() if len(words) > 1])


def _has_any(single: frozenset[str], rows: Sequence[tuple[str, ...]], columns: Sequence[str]) -> bool:
    if has_word(single, columns):
        return True
    found = [tuple(words_of(column)) for column in columns] if rows else []
    return any(
        words[start : start + len(row)] == row for words in found for row in rows for start in range(len(words))
    )


def _pattern(name: str, wanted: Any) -> Slice:
    try:
        searched = re.compile(wanted, re.IGNORECASE)
    except (re.error, TypeError) as error:
        raise ValueError(
            f"the pattern of the slice {name!r}, {wanted!r:.80}, is no regular expression: {error}."
        ) from None
    return partial(_is_found, searched)


def _is_found(searched: re.Pattern[str], columns: Sequence[str]) -> bool:
    return any(searched.search(column) for column in columns)


def _longer(name: str, wanted: Any) -> Slice:
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 0:
        raise ValueError(f"longer_than of the slice {name!r} must be a number of words, 0 or more, got {wanted!r}.")
    return partial(is_longer, wanted)


_CHECKED: dict[str, Callable[[str, Any], Slice]] = {"words": _words, "pattern": _pattern, "longer_than": _longer}
