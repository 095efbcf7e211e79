"""Texts before and after an attack: changed words are coloured, and only on a terminal."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.cli.attack import before_and_after, choose_pairs, coloured, wants_colour
from hf_robust.metrics import AttackRecord


def record(idx: int, status: str, before: str, after: str, **changes: object) -> AttackRecord:
    values = [idx, 1, status, [before], [after], [[1, "good", "fine"]], 7, 1, 0, 0.9, 0.2, "success", 3]
    made = AttackRecord(*values)  # type: ignore[arg-type]
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def plain(text: str) -> str:
    return re.sub("\x1b\\[[0-9]+m", "", text)


def test_only_changed_words_are_coloured() -> None:
    before, after = coloured("It's a good, good film.", "It's a good, fine old film.")
    assert before == "It's a good, \x1b[31mgood\x1b[0m film."
    assert after == "It's a good, \x1b[32mfine\x1b[0m \x1b[32mold\x1b[0m film."
    assert coloured("same text", "same text") == ("same text", "same text")
    # A word is coloured whole, with its marks and its apostrophe.
    assert coloured("हिन्दी isn’t", "हिन्दू isn’t")[0] == "\x1b[31mहिन्दी\x1b[0m isn’t"
    assert coloured("it ca n't", "it can")[0] == "it \x1b[31mca\x1b[0m \x1b[31mn't\x1b[0m"


@given(st.text(), st.text())
def test_colours_change_no_character(before: str, after: str) -> None:
    if "\x1b" not in before + after:
        assert tuple(map(plain, coloured(before, after))) == (before, after)


def test_the_block_of_one_pair() -> None:
    one = record(3, "succeeded", "a good film", "a fine film")
    assert before_and_after("synonym", one, ["bad", "good"]) == (
        "synonym, example 3: good -> bad (7 queries; good -> fine)\n  before: a good film\n  after:  a fine film\n"
    )
    assert "\x1b[32mfine\x1b[0m" in before_and_after("synonym", one, ["bad", "good"], colour=True)
    stays = record(3, "succeeded", "a", "b", perturbed_prediction=1, changed=[])
    assert before_and_after("antonym", stays, ["bad", "good"]).startswith(
        "antonym, example 3: good stays (7 queries)\n"
    )


def test_pairs_are_spread_over_the_attacks() -> None:
    found = [record(idx, "succeeded", "a good film", "a fine film") for idx in range(3)]
    unchanged = [record(9, "succeeded", "same", "same"), record(8, "failed", "a", "b")]
    chosen = choose_pairs({"a": found, "file": unchanged, "b": found[:1]}, 3)
    assert [(name, one.idx) for name, one in chosen] == [("a", 0), ("b", 0), ("a", 1)]


def test_NO_COLOR_pipes_and_dumb_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_colour(Terminal()) and not wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    assert wants_colour(Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Terminal())
