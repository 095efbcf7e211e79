"""Which words of a text count as changed, where swaps make words more or fewer."""

import random
from collections import OrderedDict
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_robust.attacks.engine.draft import Draft
from hf_robust.words import TEXTATTACK_WORDS, UNICODE_WORDS, Text

# (columns, swaps one after another, then the text, the changed words and the last step's): what TextAttack's own text
# class gives, where "" deletes.
FIXED = [
    (("a good film",), [{1: "fine"}], "a fine film", {1}, {1}),
    (("a good film",), [{1: "very good"}], "a very good film", {1, 2}, {1, 2}),
    (("a good film",), [{1: "very good"}, {3: "story"}], "a very good story", {1, 2, 3}, {3}),
    (("a good film",), [{2: "story"}, {0: "not a"}], "not a good story", {0, 1, 3}, {0, 1}),
    (("a good film",), [{2: "story"}, {0: ""}], "good story", {1}, set()),
    (("a good film",), [{1: "fine"}, {1: ""}], "a film", set(), set()),
    (("a good film",), [{1: "fine"}, {1: "so very fine"}, {0: ""}], "so very fine film", {0, 1, 2}, set()),
    (("a good, long film.",), [{3: "story"}, {1: ""}, {1: "short"}], "a, short story.", {1, 2}, {1}),
    (("a good film",), [{1: "good"}], "a good film", set(), set()),
    (("a good film",), [{0: "the", 2: "story"}], "the good story", {0, 2}, {0, 2}),
    (("a good film",), [{0: "not a", 2: "story"}], "not a good story", {0, 1, 3}, {0, 1, 3}),
    (("good film", "bad plot"), [{2: "awful"}, {0: "very good"}], "very good film\nawful plot", {0, 1, 3}, {0, 1}),
    (("good film", "bad plot"), [{2: "awful"}, {1: ""}], "good\nawful plot", {1}, set()),
]


def follow(columns, steps):
    draft = Draft(Text(columns))
    for step in steps:
        draft = draft.swap(*next(iter(step.items()))) if len(step) == 1 else draft.swap_many(step)
    return draft


@pytest.mark.parametrize(("columns", "steps", "text", "modified", "fresh"), FIXED)
def test_numbers_move_with_the_words(columns, steps, text, modified, fresh):
    draft = follow(columns, steps)
    assert (draft.text.joined, draft.modified, draft.last_modified) == (text, modified, fresh)
    assert Draft(Text(columns)).modified == Draft(Text(columns)).last_modified == frozenset()


def test_changes_are_by_place_where_the_words_are_as_many():
    draft = follow(("a good film",), [{2: "story"}, {1: "fine"}, {2: "movie"}])
    assert draft.changes(Text(("a good film",))) == [[1, "good", "fine"], [2, "film", "movie"]]
    back = follow(("a good film",), [{2: "story"}, {2: "film"}])
    assert back.changes(Text(("a good film",))) == [] and back.modified == {2}


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        # As many words in both: position by position, all four would differ.
        ("a very good film", "very good film indeed", [[0, "a", ""], [3, "film", "film indeed"]]),
        ("a good film", "a fine film", [[1, "good", "fine"]]),
        ("a good film", "it was a film", [[0, "a", "it was a"], [1, "good", ""]]),
        ("good", "not at all bad", [[0, "good", "not at all bad"]]),
        ("a good film", "a good film", []),
    ],
)
def test_a_text_in_other_words_changes_the_words_that_it_lacks(old, new, changes):
    clean = Draft(Text((old,)))
    assert clean.rewritten((new,)).changes(clean.text) == changes


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{1: "very good"}], [[1, "good", "very good"]]),
        ([{2: "story"}, {0: ""}], [[2, "film", "story"], [0, "a", ""]]),
        # As many words at the end as at first, but not the same places.
        ([{1: "very good"}, {0: ""}, {2: "plot"}], [[1, "good", "very good"], [0, "a", ""], [2, "film", "plot"]]),
        ([{0: "not a", 1: "good", 2: "story"}], [[0, "a", "not a"], [2, "film", "story"]]),
    ],
)
def test_changes_are_the_swaps_in_their_order_where_words_came_or_went(steps, expected):
    clean = Text(("a good film",))
    assert follow(clean.columns, steps).changes(clean) == expected
    text = clean
    for index, old, new in expected:
        assert text.tokens[index] == old
        if len(expected) != 2 or steps[0].get(0) != "not a":  # those of one step are numbered in the same text
            text = text.replace({index: new}) if new else text.delete(index)
    assert text is clean or text.columns == follow(clean.columns, steps).text.columns


def test_a_given_set_of_changed_words_is_kept():
    draft = Draft(Text(("a good film",))).swap_many({0: "the", 1: "fine"}, modified={1})
    assert draft.modified == {1} and draft.last_modified == {0, 1}
    assert draft.swap(2, "story").modified == {1, 2}
    # Swapping two words for one and one for two: every child starts from what its parent says.
    assert draft.swap(0, "not the").modified == {0, 1, 2}


@pytest.mark.skipif(find_spec("textattack") is None, reason="TextAttack is not installed")
def test_word_numbers_equal_textattacks():
    pytest.importorskip("hf_robust.attacks.textattack.importing").import_textattack()
    from textattack.shared import AttackedText

    for columns, steps, *expected in FIXED:
        other = AttackedText(OrderedDict((str(number), column) for number, column in enumerate(columns)))
        for step in steps:
            other = other.replace_words_at_indices(list(step), list(step.values()))
        attributes = other.attack_attrs
        assert [other.text, attributes["modified_indices"], attributes["newly_modified_indices"]] == expected
    rng = random.Random(0)
    for _ in range(300):
        columns = tuple(" ".join(rng.choices(["good", "bad,", "a", "I'm", "x."], k=rng.randint(1, 6))) for _ in "12")
        draft = Draft(Text(columns))
        other = AttackedText(OrderedDict(zip("12", columns, strict=True)))
        for _ in range(4):
            index, new = rng.randrange(len(draft.text.words)), rng.choice(["", "new", "two words", "three of them"])
            if len(draft.text.words) == 1 and not new:
                break
            draft, other = draft.swap(index, new), other.replace_word_at_index(index, new)
            assert other.text == draft.text.joined
            assert other.attack_attrs["modified_indices"] == draft.modified
            assert other.attack_attrs["newly_modified_indices"] == draft.last_modified


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([TEXTATTACK_WORDS, UNICODE_WORDS]))
def test_words_and_keys_of_a_draft_are_those_of_its_text_split_again(data, rule):
    pieces = [
        "good",
        "bad",
        "n't",
        "it's",
        "-",
        "_",
        "'",
        "*",
        "@x",
        " ",
        "  ",
        ", ",
        ".",
        "\u2019s",
        "\u00e9t\u00e9",
        "a-b",
    ]
    draft = Draft(Text(("".join(data.draw(st.lists(st.sampled_from(pieces), max_size=12))),), rule))
    for _ in range(3):
        if not draft.text.words:
            return
        index = data.draw(st.integers(0, len(draft.text.words) - 1))
        new = data.draw(st.sampled_from(["fine", "o'clock", "well-made", "two words", "UNK", "\u00e9", "_y"]))
        draft = draft.swap(index, new)
        assert draft.keys == draft.text.keys
        if rule is TEXTATTACK_WORDS:
            assert draft.words == draft.text.tokens


@pytest.mark.parametrize(
    ("old", "new", "swaps"),
    [
        ("a good film", "a fine film", {1: "fine"}),
        ("a good film", "a go od film", {1: "go od"}),
        ("a good film", "good film", {0: ""}),
        ("a good film", "a very good film", {1: "very good"}),
        ("a good film", "a good film indeed", {2: "film indeed"}),
        ("a good old film", "a fine film", {1: "fine", 2: ""}),
        ("a good film", "a good film", {}),
        ("", "new words", {}),
    ],
)
def test_a_text_made_elsewhere_is_aligned(old, new, swaps):
    draft = Draft(Text((old,))).become((new,))
    assert draft.swaps == swaps and draft.text.columns == (new,)
