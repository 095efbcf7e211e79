"""Halves of a table: disjoint, symmetric, the same every time."""

from __future__ import annotations

import nltk.stem.porter  # noqa: F401, else the first example of a property pays for its import
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.lexicons import TableLexicon, build_table, split_table

WORDS = [f"w{number}" for number in range(8)] + ["W0", "Fine"]
tables = st.dictionaries(
    st.sampled_from(WORDS[:8]), st.lists(st.sampled_from(WORDS), min_size=1, max_size=5, unique=True), min_size=2
).map(lambda table: {word: [one for one in others if one.casefold() != word] for word, others in table.items()})
sides = st.sampled_from(["substitutes", "words"])


def pairs(table):
    return {(word, other.casefold()) for word, others in table.items() for other in others}


def halves_or_none(table, share, seed, by):
    try:
        return split_table(table, share, seed, by)
    except ValueError:
        return None


@given(tables, st.floats(0.05, 0.95), st.integers(0, 3), sides)
def test_no_pair_is_in_both_and_a_pair_stays_with_its_reverse(table, share, seed, by):
    halves = halves_or_none(table, share, seed, by)
    if halves is None:
        return
    train, held_out = pairs(halves.train), pairs(halves.held_out)
    assert train and held_out and not train & held_out
    assert not {(other, word) for word, other in train} & held_out
    assert train | held_out <= pairs(table)
    left_out = sum(map(len, table.values())) - sum(len(others) for half in halves[:2] for others in half.values())
    assert halves.left_out == left_out and (by == "words" or not left_out)
    for half in halves[:2]:  # rows in the order that they had
        for word, others in half.items():
            assert others and [one for one in table[word] if one in others] == others


@given(tables, st.integers(0, 3), st.randoms(use_true_random=False))
def test_by_words_no_word_is_in_both_in_either_role(table, seed, rng):
    halves = halves_or_none(table, 0.5, seed, "words")
    if halves is None:
        return
    known = [{word for pair in pairs(half) for word in pair} for half in halves[:2]]
    assert not known[0] & known[1]


@given(tables, st.integers(0, 3), sides, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(table, seed, by, rng):
    words = list(table)
    rng.shuffle(words)
    assert halves_or_none({word: table[word] for word in words}, 0.5, seed, by) == halves_or_none(table, 0.5, seed, by)


def test_the_same_in_every_process_and_another_with_another_seed():
    table = {f"word{number}": [f"a{number}", f"b{number}", f"c{number}"] for number in range(50)}
    halves = split_table(table)
    assert halves == split_table(table) != split_table(table, seed=1)
    assert sum(map(len, halves.train.values())) == 75
    # From another process; string hashes, and with them the order of a set, differ between any two.
    assert [halves.train.get(f"word{number}", []) for number in range(4)] == [
        ["a0", "c0"],
        ["a1", "b1"],
        ["a2", "b2"],
        [],
    ]


def test_the_builtin_table_splits_into_tables_that_differ():
    halves = split_table(build_table("builtin"))
    lexicons = [TableLexicon(half) for half in halves[:2]]
    assert lexicons[0].fingerprint() != lexicons[1].fingerprint()
    share = sum(map(len, halves.train.values())) / sum(len(others) for half in halves[:2] for others in half.values())
    assert share == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        ({}, {}, "a table of 0 words cannot be divided; give a table with substitutes for at least two words"),
        ({"good": ["fine", "nice"]}, {}, "a table of 1 word cannot be divided"),
        ({"good": [], "bad": []}, {}, "cannot be divided"),
        ({"good": ["fine"], "fine": ["good"]}, {}, "no pair would be left in train: the table has 2 pairs"),
        ({"a": ["b"], "c": ["d"]}, {"share": 1.0}, "--share must lie between 0 and 1, got 1"),
        ({"a": ["b"], "c": ["d"]}, {"by": "letters"}, "--by must be one of substitutes, words, got 'letters'"),
    ],
)
def test_tables_that_cannot_be_divided_are_refused(table, arguments, message):
    with pytest.raises(ValueError, match=message):
        split_table(table, **arguments)


@pytest.mark.parametrize("by", ["substitutes", "words"])
def test_inflections_of_a_pair_stay_together(by):
    """Held out, ``walks -> strolls`` would be the trained ``walk -> stroll`` again."""
    stems = ("walk", "stroll"), ("talk", "shout"), ("jump", "leap"), ("look", "peek")
    table = {first + end: [second + end, f"x{first}"] for first, second in stems for end in ("", "s", "ing", "ed")}
    for seed in range(4):
        halves = halves_or_none(table, 0.5, seed, by)
        if halves is None:
            continue
        for half, other in ((halves.train, halves.held_out), (halves.held_out, halves.train)):
            for word, substitutes in half.items():
                first, second = next(pair for pair in stems if word.startswith(pair[0]))
                for end in ("", "s", "ing", "ed"):
                    if any(one.startswith(second[:3]) for one in substitutes):
                        assert not any(one.startswith(second[:3]) for one in other.get(first + end, []))
