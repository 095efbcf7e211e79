"""Splitting, replacing and deleting words: the rules of TextAttack, and nothing else changes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.words import STOP_WORDS, Text, match_case, split_words

# Every kind of character that the rules tell apart, and some that break naive code.
TEXTS = st.text(st.sampled_from(list("abC d'-_*@.,\n\t9é×`\u00a0\x00\u200fשל🎬文")), max_size=30)
COLUMNS = st.lists(TEXTS, min_size=1, max_size=2).map(tuple)
LOOK_ALIKES = "˗৭Ȣ𝟕бƼᏎƷᒿlO`ɑЬϲԁе𝚏ɡհіϳ𝒌ⅼｍոорԛⲅѕ𝚝սѵԝ×уᴢ"


def words_by_the_rules(text):
    """attack_semantics section 3.1, step by step."""
    inner, words = "'-_*@", []
    for chunk in text.split():
        runs = re.findall(rf"[\w{LOOK_ALIKES}'\-_\*@]+", chunk.strip(inner))
        words += [run.strip(inner) for run in runs]
    return [word for word in words if word]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a -well-made- film.", ["It's", "a", "well-made", "film"]),
        ("'quoted' _under_ *star* @at", ["quoted", "under", "star", "at"]),
        ("3.5/10 stars!!!", ["3", "5", "10", "stars"]),
        ("e-mail a@b.com", ["e-mail", "a@b", "com"]),
        ("--- ... 🎬", []),
        ("", []),
        ("שלום\u200f עולם", ["שלום", "עולם"]),
        ("co×st `tick", ["co×st", "`tick"]),
    ],
)
def test_words_of_known_texts(text, words):
    assert Text((text,)).tokens == words


@given(TEXTS)
def test_words_are_those_of_the_stepwise_rules(text):
    assert [word for word, _, _ in split_words(text)] == words_by_the_rules(text)


@given(COLUMNS)
def test_spans_cut_out_the_words_in_order(columns):
    text = Text(columns)
    for word in text.words:
        assert columns[word.column][word.start : word.end] == word.text
    places = [(word.column, word.start) for word in text.words]
    assert places == sorted(set(places))


@given(COLUMNS)
def test_X17_no_swap_returns_the_identical_text(columns):
    text = Text(columns)
    assert text.replace({}) == text
    assert text.replace({index: word for index, word in enumerate(text.tokens)}) == text


@given(COLUMNS, st.data())
def test_replace_touches_only_the_named_words(columns, data):
    text = Text(columns)
    chosen = data.draw(st.sets(st.integers(0, max(len(text.words) - 1, 0)), max_size=len(text.words)))
    swaps = {index: f"new{index}" for index in chosen if index < len(text.words)}
    changed = text.replace(swaps)
    assert changed.tokens == [swaps.get(index, word) for index, word in enumerate(text.tokens)]
    assert [len(c) for c in changed.columns] == [
        len(column) + sum(len(new) - len(text.tokens[i]) for i, new in swaps.items() if text.words[i].column == number)
        for number, column in enumerate(columns)
    ]
    for index, new in swaps.items():
        assert text.variants(index, [new, ""]) == [
            text.replace({index: new}).columns,
            text.replace({index: ""}).columns,
        ]


@pytest.mark.parametrize(
    ("columns", "index", "left"),
    [
        (("A good film.",), 0, ("good film.",)),
        (("A good film.",), 1, ("A film.",)),
        (("A good film.",), 2, ("A good.",)),
        (("A good film",), 2, ("A good ",)),  # no text remains after the word: its space stays
        (("film",), 0, ("",)),
        (("a b", "c d"), 1, ("a", "c d")),  # the second column remains after it
        (("a b", "c d"), 2, ("a b", " d")),  # only the very first word takes the space that follows
        (("a b", "c d"), 3, ("a b", "c ")),
    ],
)
def test_delete_takes_one_space_along(columns, index, left):
    assert Text(columns).delete(index).columns == left


@pytest.mark.parametrize(
    ("new", "like", "expected"),
    [
        ("Fine", "good", "fine"),
        ("fine", "GOOD", "FINE"),
        ("fine", "Good", "Fine"),
        ("new York", "Good", "New york"),
        ("you", "I", "you"),
        ("phone", "iPhone", "phone"),
        ("phone", "", "phone"),
    ],
)
def test_match_case(new, like, expected):
    assert match_case(new, like) == expected


def test_stop_words_are_textfoolers():
    assert len(STOP_WORDS) == 266
    assert {"the", "not", "won't", "yourselves"} <= STOP_WORDS
    assert STOP_WORDS.isdisjoint({"good", "bad", "film", "The"})
