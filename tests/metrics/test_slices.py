"""GradMask's slices on hand-made sentences."""

from __future__ import annotations

import pytest

from hf_robust.metrics import slices


def matching_slices(*columns: str, printed_only: bool = False) -> list[str]:
    return [name for name, holds in slices(printed_only).items() if holds(columns)]


@pytest.mark.parametrize(
    ("text", "extended", "printed"),
    [
        ("A man is not asleep.", ["negation"], ["negation"]),
        ("No, she said", ["negation"], ["negation"]),
        ("They NEVER met; possibly.", ["negation", "ambiguity"], ["negation", "ambiguity"]),
        ("Maybe it rains", ["ambiguity"], ["ambiguity"]),
        ("It isn't here", ["negation"], []),
        ("It isn’t here", ["negation"], []),
        ("It is n't here", ["negation"], []),
        ("It isn 't here", ["negation"], []),
        ("nobody, nothing, none, nor or without", ["negation"], []),
        ("Perhaps", ["ambiguity"], []),
        ("He might, may or could", ["ambiguity"], []),
        ("A notable knot is nowhere near the northern dismay", [], []),
        ("", [], []),
    ],
)
def test_words_are_whole_ones_in_any_case(text: str, extended: list[str], printed: list[str]) -> None:
    assert matching_slices("A film.", text) == matching_slices(text, "A film.") == matching_slices(text) == extended
    assert matching_slices(text, printed_only=True) == printed


def test_long_is_a_single_column_of_more_than_20_words() -> None:
    twenty = " ".join(["word"] * 20)
    assert matching_slices(twenty, twenty) == []
    assert matching_slices("short", f"{twenty} more.") == matching_slices(f"{twenty} more.", "short") == ["long"]
