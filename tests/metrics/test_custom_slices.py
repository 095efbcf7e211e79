"""Custom slices on hand-made sentences."""

from __future__ import annotations

from typing import Any

import pytest

from hf_robust.metrics import custom_slices, slices

GIVEN: dict[str, Any] = {
    "numbers": ["One", "two", "at least", "n't"],
    "question": {"pattern": r"\?$"},
    "second is a question": {"pattern": r"\?$", "column": 2},
    "long": {"longer_than": 3},
    "long second": {"longer_than": 3, "column": 2},
    "hypothesis negated": {"words": ["no"], "column": 2},
}


def matching_slices(*columns: str) -> list[str]:
    return [name for name, holds in custom_slices(GIVEN).items() if holds(columns)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (("A man.", "ONE man."), ["numbers"]),
        (("Someone sat.", "None."), []),
        (("At  least, men.", "Men."), ["numbers"]),
        (("least at all", "at", "least"), []),
        (("It isn’t.", ""), ["numbers"]),
        (("Is it?", "It is."), ["question"]),
        (("It is.", "Is it?"), ["question", "second is a question"]),
        (("a b c d", "a"), ["long"]),
        (("a b c", "a b c d"), ["long", "long second"]),
        (("No man.", "A man."), []),
        (("A man.", "NO man."), ["hypothesis negated"]),
        (("No man.",), []),
        (("", ""), []),
    ],
)
def test_words_in_a_row_patterns_and_lengths(columns: tuple[str, ...], expected: list[str]) -> None:
    assert matching_slices(*columns) == expected


def test_the_papers_slices_can_be_written_so() -> None:
    ours = slices(printed_only=True)
    given = {
        "negation": ["not", "no", "never"],
        "ambiguity": {"words": ["maybe", "possibly"]},
        "long": {"longer_than": 20},
    }
    texts = ["Not here.", "Notable", "maybe", "word " * 20, "word " * 21, "It isn't", "never, possibly"]
    for name, holds in custom_slices(given).items():
        assert [holds((text,)) for text in texts] == [ours[name]((text,)) for text in texts]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("one", "must be a list of words, or an object with one of words, pattern, longer_than"),
        ({"words": ["a"], "pattern": "a"}, "must be a list of words, or an object"),
        ({"words": ["a"], "colum": 1}, "must be a list of words, or an object"),
        ({"column": 1}, "must be a list of words, or an object"),
        ([], "needs a list of words, each a text, got"),
        (["a", 2], "needs a list of words, each a text, got"),
        (["?"], "has the entry '\\?', which is not a word; give it as a pattern"),
        ({"pattern": "("}, "is not a regular expression: missing \\)"),
        ({"pattern": 3}, "is not a regular expression"),
        ({"longer_than": -1}, "must be a number of words, 0 or more, got -1"),
        ({"longer_than": True}, "must be a number of words"),
        ({"longer_than": 3, "column": 3}, "column of the slice 'mine' must be 1 or 2, got 3"),
        ({"longer_than": 3, "column": True}, "must be 1 or 2, got True"),
    ],
)
def test_what_is_no_slice_is_one_sentence(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"slice 'mine'.*{message}|{message}"):
        custom_slices({"mine": value})
