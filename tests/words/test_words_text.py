"""Splitting, replacing and deleting words: by TextAttack's rule and by our own, and nothing else changes.

Words and the tokens they were cut into.
"""

from __future__ import annotations

import copy
import pickle
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import build_tokenizer

from hf_robust.words import (
    NLTK_STOP_WORDS,
    STOP_WORDS,
    TEXTATTACK_WORDS,
    UNICODE_WORDS,
    Text,
    Word,
    folded,
    match_case,
    word_rule,
    word_token_positions,
)
from hf_robust.words.contractions import APOSTROPHES, character_classes


def overlapping(words, offsets, sequence_ids):
    """The definition, word by word and token by token."""
    return [
        [
            place
            for place, ((start, end), column) in enumerate(zip(offsets, sequence_ids, strict=True))
            if column == word.column and start < word.end and end > word.start and end > start
        ]
        for word in words
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_pieces_of_a_pair(side):
    tokenizer = build_tokenizer()
    tokenizer.padding_side = side
    text = Text(("a splendid, splendid film", "the dreadful picture."))
    encoding = tokenizer(*text.columns, return_offsets_mapping=True, padding="max_length", max_length=20)
    found = word_token_positions(text.words, encoding["offset_mapping"], encoding.sequence_ids(0))
    pieces = [tokenizer.convert_ids_to_tokens([encoding["input_ids"][place] for place in word]) for word in found]
    assert pieces == [["a"], ["splen", "##did"], ["splen", "##did"], ["film"], ["the"]] + [
        ["dread", "##ful"],
        ["pic", "##ture"],
    ]


def test_truncated_words_have_no_tokens():
    tokenizer, text = build_tokenizer(), Text(("good film was splendid",))
    encoding = tokenizer(*text.columns, return_offsets_mapping=True, truncation=True, max_length=4)
    found = word_token_positions(text.words, encoding["offset_mapping"], encoding.sequence_ids(0))
    assert found == [[1], [2], [], []]


@given(st.data())
def test_alignment_is_overlap(data):
    spans = st.lists(st.integers(0, 30), min_size=2, max_size=12, unique=True).map(sorted)
    words, offsets, columns = [], [(0, 0)], [None]
    for column in (0, 1):
        cuts = data.draw(spans)
        words += [Word("w", column, cuts[i], cuts[i + 1]) for i in range(0, len(cuts) - 1, 2)]
        cuts = data.draw(spans)
        offsets += [*zip(cuts, cuts[1:], strict=False), (0, 0)]
        columns += [column] * (len(cuts) - 1) + [None]
    assert word_token_positions(words, offsets, columns) == overlapping(words, offsets, columns)


# Every kind of character that the rules tell apart, and some that break naive code.
LETTERS = list("abC d'-_*@.,\n\t9é×`’#;&3\u00a0\x00\u200f\u200d\u200b\u0301\u0308\u093fह̂של🎬文ʼ\U0001f3fdİß")
TEXTS = st.text(st.sampled_from(LETTERS), max_size=30) | st.text(max_size=15)
COLUMNS = st.lists(TEXTS, min_size=1, max_size=2).map(tuple)
RULES = st.sampled_from([TEXTATTACK_WORDS, UNICODE_WORDS])
LOOK_ALIKES = "˗৭Ȣ𝟕бƼᏎƷᒿlO`ɑЬϲԁе𝚏ɡհіϳ𝒌ⅼｍոорԛⲅѕ𝚝սѵԝ×уᴢ"


def words_by_the_rules(text):
    """attack_semantics section 3.1, step by step."""
    inner, words = "'-_*@", []
    for chunk in text.split():
        runs = re.findall(rf"[\w{LOOK_ALIKES}'\-_\*@]+", chunk.strip(inner))
        words += [run.strip(inner) for run in runs]
    return [word for word in words if word]


def words(text):
    return Text((text,)).tokens


def keys(text):
    return Text((text,)).keys


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
    ],
)
def test_words_of_known_texts(text, words):
    assert Text((text,)).tokens == Text((text,), TEXTATTACK_WORDS).tokens == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("co×st `tick", ["co×st", "`tick"]),
        ("don’t they 're", ["don", "t", "they", "re"]),
        ("हिन्दी re\u0301sume\u0301", ["ह", "न", "द", "re", "sume"]),
    ],
)
def test_words_of_textattack(text, words):
    assert Text((text,), TEXTATTACK_WORDS).tokens == words


@given(TEXTS)
def test_words_of_textattack_are_those_of_the_stepwise_rules(text):
    assert [word for word, _, _ in TEXTATTACK_WORDS.split(text)] == words_by_the_rules(text)


# ---- our own words ----


@pytest.mark.parametrize(
    "apostrophe", ["'", "’", "‘", "ʼ", "`", "´", "\uff07", "\x92", "&#39;", "#39;", "\\'", "&apos;"]
)
def test_a_contraction_is_one_word_with_one_key_whatever_its_apostrophe(apostrophe):
    text = f"They{apostrophe}RE here, don{apostrophe}t go."
    assert keys(text) == ["they're", "here", "don't", "go"]
    assert words(f"{apostrophe}quoted{apostrophe}") == ["quoted"]


@pytest.mark.parametrize(
    ("text", "found", "looked_up"),
    [
        ("it ca n't be", ["it", "ca", "n't", "be"], ["it", "", "", "be"]),
        ("They 're , he ’s", ["They", "'re", "he", "’s"], ["they", "", "he", ""]),
        ("I don 't, wouldn 't", ["I", "don", "'t", "wouldn", "'t"], ["i", "", "", "", ""]),
        ("Don ' t or it ’ s", ["Don", "' t", "or", "it", "’ s"], ["", "", "or", "it", ""]),
        ("can #39;t Oracle #39;s", ["can", "#39;t", "Oracle", "#39;s"], ["", "", "oracle", ""]),
        ("today' s (Bush)'s", ["today", "' s", "Bush", "'s"], ["today", "", "bush", ""]),
        ("'Tis love 'em", ["'Tis", "love", "'em"], ["", "love", ""]),
        ("don t, it s", ["don", "t", "it", "s"], ["", "", "it", ""]),
        ("film's o'clock rock'n'roll", ["film's", "o'clock", "rock'n'roll"], ["film's", "o'clock", "rock'n'roll"]),
        ("the films' 'd-day' 's'", ["the", "films", "d-day", "s"], ["the", "films", "d-day", ""]),
        ("quot;AT&amp;T&quot; &lt;b&gt; amp", ["AT", "T", "b", "amp"], ["at", "", "b", "amp"]),
        ("`` good '' x`y", ["good", "x`y"], ["good", "x'y"]),
        ("well\u2011made co\u00adoperate", ["well\u2011made", "co\u00adoperate"], ["well-made", "cooperate"]),
        ("हिन्दी می‌خواهم", ["हिन्दी", "می‌خواهم"], ["हिन्दी", "میخواهم"]),
        ("שָׁלוֹם צה״ל ภาษา", ["שָׁלוֹם", "צה״ל", "ภาษา"], ["שָׁלוֹם", "צה״ל", "ภาษา"]),
        ("ｇｏｏｄ ﬁlm İ ẞ", ["ｇｏｏｄ", "ﬁlm", "İ", "ẞ"], ["good", "film", "i\u0307", "ß"]),
        ("❤️ 👍🏽 👩\u200d💻 1️⃣ \u0301a", ["1️⃣", "a"], ["1️⃣", "a"]),
        ("a\u200bb a\u00a0b", ["a", "b", "a", "b"], ["a", "b", "a", "b"]),
    ],
)
def test_unicode_words_and_their_keys(text, found, looked_up):
    assert words(text) == found
    assert keys(text) == looked_up


def test_a_decomposed_word_is_one_word_under_the_key_of_the_composed_one():
    composed, decomposed = "r\u00e9sum\u00e9", "re\u0301sume\u0301"
    assert words(decomposed) == [decomposed] and keys(decomposed) == keys(composed) == [composed]


@given(TEXTS)
def test_composed_and_decomposed_texts_have_the_same_keys(text):
    first, second = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert keys(first) == keys(second) and len(words(first)) == len(words(second))


@given(TEXTS)
def test_an_own_word_begins_with_a_letter_or_an_apostrophe_and_keeps_its_marks(text):
    column = Text((text,))
    for word in column.words:
        assert word.text[0].isalnum() or word.text[0] in f"{APOSTROPHES}&#\\"
        following = text[word.end : word.end + 1]
        assert not following or unicodedata.category(following)[0] != "M"


PLAIN = st.text(st.sampled_from(list("abC '-*@.,\n\t9é")), max_size=30)


@given(PLAIN)
def test_both_rules_agree_on_plain_text(text):
    assert words(text) == Text((text,), TEXTATTACK_WORDS).tokens


def test_the_character_classes_are_those_of_unicode():
    marks, invisible = (re.compile(f"[{inside}]") for inside in character_classes())
    for code in range(0x110000):
        kind = unicodedata.category(chr(code))
        if kind[0] == "M" or kind == "Cf":
            assert bool(marks.match(chr(code))) == (kind[0] == "M")
            assert bool(invisible.match(chr(code))) == (kind == "Cf" and code != 0x200B)
    assert not marks.match("a") and not invisible.match("-") and not marks.match("\u2190")


@given(TEXTS)
def test_folding_twice_is_folding_once(text):
    for word in words(text):
        assert folded(folded(word)) == folded(word)


# ---- substitutes ----

TABLE = {
    "they": ["these"],
    "'re": ["'sos"],
    "re": ["sos"],
    "don": ["donated"],
    "don't": ["didn't", "dont"],
    "ca": ["wo"],
    "did": ["ai", "does", "n't"],
    "good": ["Good", "fine"],
    "r\u00e9sum\u00e9": ["cv"],
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("THEY 're", [["THESE"], []]),
        ("they re", [["these"], []]),
        ("Don’t", [["Didn’t", "Dont"]]),
        ("don 't", [[], []]),
        ("ca n't", [[], []]),
        ("did GOOD", [["does"], ["FINE"]]),
        ("re\u0301sume\u0301 Re\u0301sume\u0301", [["cv"], ["Cv"]]),
    ],
)
def test_pieces_of_contractions_are_neither_replaced_nor_put_in(text, found):
    text = Text((text,))
    assert [text.substitutes(i, lambda key: TABLE.get(key, ())) for i in range(len(text.words))] == found


def test_substitutes_by_textattacks_words_are_those_of_the_word_itself():
    text = Text(("they 'RE did",), TEXTATTACK_WORDS)
    found = [text.substitutes(i, lambda word: TABLE.get(word.lower(), ())) for i in range(3)]
    assert found == [["these"], ["SOS"], ["ai", "does", "n't"]]


def test_stop_words_are_compared_by_key_and_base():
    own, other = Text(("The they’re DON’T ca n't film's",)), Text(("The the they're",), TEXTATTACK_WORDS)
    common = {"the", "they", "do"}
    assert [own.is_listed(index, common) for index in range(6)] == [True] * 5 + [False]
    assert [other.is_listed(index, common) for index in range(3)] == [False, True, False]


# ---- one object ----


def test_a_rule_is_one_object_and_its_texts_are_equal_by_it():
    for rule in (TEXTATTACK_WORDS, UNICODE_WORDS):
        assert pickle.loads(pickle.dumps(rule)) is copy.deepcopy(rule) is word_rule(rule.name) is rule
        text = Text(("a good film",), rule)
        assert pickle.loads(pickle.dumps(text)) == text and text.like(("b",)).rule is rule
        assert text.replace({0: "b"}).rule is text.delete(0).rule is rule
    assert Text(("a",), TEXTATTACK_WORDS) != Text(("a",))
    with pytest.raises(ValueError, match="must be one of textattack, unicode, .*got 'jieba'"):
        word_rule("jieba")


@given(TEXTS, RULES)
def test_one_word_is_what_stands_for_one(text, rule):
    assert rule.is_one_word(text) == ([word for word, _, _ in rule.split(text)] == [text])


@given(COLUMNS, RULES)
def test_spans_cut_out_the_words_in_order(columns, rule):
    text = Text(columns, rule)
    for word in text.words:
        assert columns[word.column][word.start : word.end] == word.text
    places = [(word.column, word.start) for word in text.words]
    assert places == sorted(set(places)) and len(text.keys) == len(places)


@given(COLUMNS, RULES)
def test_no_swap_returns_the_identical_text(columns, rule):
    text = Text(columns, rule)
    assert text.replace({}) == text
    assert text.replace({index: word for index, word in enumerate(text.tokens)}) == text


@given(COLUMNS, RULES, st.data())
def test_replace_touches_only_the_named_words(columns, rule, data):
    text = Text(columns, rule)
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


def test_a_single_decomposed_capital_is_no_case_pattern():
    for word in ("\u00c9", "E\u0301"):
        assert UNICODE_WORDS.substitutes(word, lambda key: ["fine"]) == ["fine"]


def test_stop_words_are_textfoolers():
    assert len(STOP_WORDS) == 266
    assert {"the", "not", "won't", "yourselves"} <= STOP_WORDS
    assert STOP_WORDS.isdisjoint({"good", "bad", "film", "The"})


def test_the_shipped_stop_words_of_nltk_hold_the_verbs_that_textfoolers_leave_open():
    verbs = {"have", "has", "had", "do", "did", "will"}
    assert len(NLTK_STOP_WORDS) == 198 and verbs <= NLTK_STOP_WORDS and not verbs & STOP_WORDS
    assert all(word == folded(word) for word in NLTK_STOP_WORDS | STOP_WORDS)
