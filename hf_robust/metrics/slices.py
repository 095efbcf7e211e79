"""Slices: parts of a data set by the content of its texts. GradMask's linguistic slices, and custom ones."""

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
"""Words of each slice in the paper."""

MORE_WORDS: dict[str, frozenset[str]] = {
    "negation": frozenset({"n't", "nobody", "nothing", "none", "nor", "without"}),
    "ambiguity": frozenset({"perhaps", "might", "may", "could"}),
}
"""Additional words of each slice; ``n't`` stands for every word with this ending."""

LONG = 20
"""Number of words above which a text column is long."""


def slices(printed_only: bool = False) -> Mapping[str, Slice]:
    """The slices negation, ambiguity and long by name, each a predicate on the text columns of an example.

    Args:
        printed_only: use only the words printed in the paper; the default adds words such as "nobody".

    Whole words are compared ("nothing" does not contain "not"), in lower case; the month May counts as the verb.

    >>> [name for name, holds in slices().items() if holds(("Nobody may see it.", "A film."))]
    ['negation', 'ambiguity']
    >>> [name for name, holds in slices(printed_only=True).items() if holds(("Nobody may see it.", "A film."))]
    []
    """
    by_name: dict[str, Slice] = {}
    for name, printed in PRINTED_WORDS.items():
        by_name[name] = partial(has_word, printed if printed_only else printed | MORE_WORDS[name])
    by_name["long"] = partial(is_longer, LONG)
    return by_name


def has_word(wanted: frozenset[str], columns: Sequence[str]) -> bool:
    """Whether a text column contains one of these words; ``n't`` stands for every word with this ending."""
    words = (word for column in columns for word in words_of(column))
    return any(word in wanted or ("n't" in wanted and word.endswith(("n't", "'t"))) for word in words)


def is_longer(than: int, columns: Sequence[str]) -> bool:
    """Whether a text column has more words than this."""
    return any(len(words_of(column)) > than for column in columns)


def words_of(column: str) -> list[str]:
    """The words of a text in lower case."""
    return [folded(word) for word, _, _ in UNICODE_WORDS.split(column)]


_KINDS = ("words", "pattern", "longer_than")


def custom_slices(definitions: Mapping[str, Any]) -> dict[str, Slice]:
    r"""Slices from a JSON object by name, each a predicate on the text columns of an example, like those of `slices`.

    A slice is a list of words, or an object with one of

    - ``"words"``: texts with one of these words, in any case. An entry of several words (``"at least"``) matches
      consecutive words; ``"n't"`` stands for every word with this ending.
    - ``"pattern"``: texts that match a regular expression, in any case.
    - ``"longer_than"``: texts with more words than this.

    One matching text column is enough; ``"column": 2`` tests only the second.

    >>> slices = {"numbers": ["one", "two"], "question": {"pattern": r"\?$", "column": 2}, "long": {"longer_than": 5}}
    >>> [name for name, holds in custom_slices(slices).items() if holds(("Two men.", "Who are they?"))]
    ['numbers', 'question']

    Raises:
        ValueError: a slice has another form.
    """
    return {name: _custom_slice(name, value) for name, value in definitions.items()}


def _custom_slice(name: str, value: Any) -> Slice:
    definition = {"words": value} if isinstance(value, list) else value
    kinds = [kind for kind in _KINDS if kind in definition] if isinstance(definition, dict) else []
    if len(kinds) != 1 or not set(definition) <= {*kinds, "column"}:
        raise ValueError(
            f"the slice {name!r} must be a list of words, or an object with one of {', '.join(_KINDS)} and optionally "
            f"a column; got {value!r:.80}."
        )
    (kind,), column = kinds, definition.get("column")
    if column not in (None, 1, 2) or isinstance(column, bool):
        raise ValueError(f"the column of the slice {name!r} must be 1 or 2, got {column!r}.")
    holds = _PREDICATES[kind](name, definition[kind])
    return holds if column is None else partial(_of_column, column, holds)


def _of_column(column: int, holds: Slice, columns: Sequence[str]) -> bool:
    return holds(columns[column - 1 : column])


def _words(name: str, wanted: Any) -> Slice:
    if not isinstance(wanted, list) or not wanted or not all(isinstance(one, str) for one in wanted):
        raise ValueError(f"the slice {name!r} needs a list of words, each a text, got {wanted!r:.80}.")
    cut = {one: tuple(words_of(one)) for one in wanted if one != "n't"}
    empty = next((one for one, words in cut.items() if not words), None)
    if empty is not None:
        raise ValueError(f"the slice {name!r} has the entry {empty!r}, which is not a word; give it as a pattern.")
    single = frozenset(words[0] for words in cut.values() if len(words) == 1) | ({"n't"} & {*wanted})
    return partial(_has_any, single, [words for words in cut.values() if len(words) > 1])


def _has_any(single: frozenset[str], rows: Sequence[tuple[str, ...]], columns: Sequence[str]) -> bool:
    if has_word(single, columns):
        return True
    texts = [tuple(words_of(column)) for column in columns] if rows else []
    return any(
        words[start : start + len(row)] == row for words in texts for row in rows for start in range(len(words))
    )


def _pattern(name: str, wanted: Any) -> Slice:
    try:
        searched = re.compile(wanted, re.IGNORECASE)
    except (re.error, TypeError) as error:
        raise ValueError(
            f"the pattern of the slice {name!r}, {wanted!r:.80}, is not a regular expression: {error}."
        ) from None
    return partial(_matches, searched)


def _matches(searched: re.Pattern[str], columns: Sequence[str]) -> bool:
    return any(searched.search(column) for column in columns)


def _longer(name: str, wanted: Any) -> Slice:
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 0:
        raise ValueError(f"longer_than of the slice {name!r} must be a number of words, 0 or more, got {wanted!r}.")
    return partial(is_longer, wanted)


_PREDICATES: dict[str, Callable[[str, Any], Slice]] = {"words": _words, "pattern": _pattern, "longer_than": _longer}
