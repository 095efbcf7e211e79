"""Random views: changeable words, frequency of changes, and dependence on seed, epoch, row and name alone."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ANTONYMS, SYNONYMS, build_tokenizer, review_data, table

from hf_robust.data import TextDataset
from hf_robust.views import OneAntonym, RandomSynonyms, View, ViewedDataset, draw_views
from hf_robust.words import TEXTATTACK_WORDS, UNICODE_WORDS, Protection, Text, WordRule

EMPTY = table({}, "synonym")


@given(st.text(max_size=80), st.text(max_size=20))
@settings(max_examples=60, deadline=None)
def test_empty_table_returns_the_identical_text(first: str, second: str) -> None:
    text = Text((first, second))
    view = RandomSynonyms(EMPTY)(text, 0, random.Random(0))
    assert view.text.columns == (first, second) and not view.ok and view.changed == ()


def test_every_substitute_and_the_word_itself_are_equally_likely() -> None:
    source, rng = RandomSynonyms(table({"good": ["fine", "great", "splendid"]}, "synonym")), random.Random(0)
    counts = Counter(source(Text(("good",)), 0, rng).text.columns[0] for _ in range(4000))
    assert set(counts) == {"good", "fine", "great", "splendid"}
    assert all(abs(count - 1000) < 110 for count in counts.values())  # four standard deviations


def test_words_are_substituted_independently() -> None:
    source, rng = RandomSynonyms(table({"good": ["fine"], "film": ["movie"]}, "synonym")), random.Random(1)
    counts = Counter(source(Text(("good film",)), 0, rng).text.columns[0] for _ in range(4000))
    assert len(counts) == 4 and all(abs(count - 1000) < 110 for count in counts.values())


def test_pair_is_valid_when_only_the_second_sentence_changed() -> None:
    source = RandomSynonyms(table({"good": ["fine"]}, "synonym"))
    views = [source(Text(("unknown words", "Good ones")), 0, random.Random(seed)) for seed in range(20)]
    assert {view.ok for view in views} == {True, False}
    assert all(view.ok == (view.text.columns[1] == "Fine ones") for view in views)


def test_look_up_ignores_case_and_keeps_it() -> None:
    source = RandomSynonyms(table({"good": ["fine"]}, "synonym"))
    drawn = {
        source(Text((text,)), 0, random.Random(seed)).text.columns[0]
        for text in ("Good!", "GOOD!")
        for seed in range(9)
    }
    assert drawn == {"Good!", "Fine!", "GOOD!", "FINE!"}


def test_punctuation_alone_is_no_word() -> None:
    view = RandomSynonyms(table({"": ["x"], "-": ["x"]}, "synonym"))(Text(("-- !! ''",)), 0, random.Random(0))
    assert view.text.columns == ("-- !! ''",) and not view.ok


def test_obstinate_view_changes_exactly_one_word_of_either_column() -> None:
    source, columns = OneAntonym(table(ANTONYMS, "antonym")), Counter()
    for seed in range(200):
        text = Text(("a good film", "a warm, bad film"))
        view = source(text, 1, random.Random(seed))
        (index,) = view.changed
        old, new = text.words[index], view.text.words[index]
        assert view.ok and new.text in ANTONYMS[old.text]
        assert [w.text for i, w in enumerate(view.text.words) if i != index] == [
            w.text for i, w in enumerate(text.words) if i != index
        ]
        columns[old.column] += 1
    assert min(columns.values()) > 60  # either sentence comes first equally often


def test_obstinate_view_falls_back_to_the_other_column() -> None:
    source = OneAntonym(table(ANTONYMS, "antonym"))
    drawn = {source(Text(("no such", "good")), 0, random.Random(seed)).text.columns for seed in range(20)}
    assert drawn == {("no such", "bad"), ("no such", "awful")}


def test_no_antonym_or_skip_label_is_not_a_pair() -> None:
    source = OneAntonym(table(ANTONYMS, "antonym"), skip_labels=frozenset({1}))
    for text, label in ((Text(("nothing here",)), 0), (Text(("good",)), 1)):
        view = source(text, label, random.Random(0))
        assert view.text == text and not view.ok
    assert source(Text(("good",)), 0, random.Random(0)).ok


def test_no_view_changes_what_is_protected() -> None:
    text = Text(("a good film costs 12 good dollars", "see good.com/film or a warm film"))
    protection = Protection(["urls", "numbers"], ["good film"])
    closed = protection.closed(text)
    assert {text.tokens[index] for index in closed} == {"good", "film", "12", "com"}
    free = {"fickle": RandomSynonyms(table(SYNONYMS, "synonym")), "obstinate": OneAntonym(table(ANTONYMS, "antonym"))}
    bound = {
        "fickle": RandomSynonyms(table(SYNONYMS, "synonym"), protection),
        "obstinate": OneAntonym(table(ANTONYMS, "antonym"), protection=protection),
    }
    for name, source in bound.items():
        changed = {index for seed in range(60) for index in source(text, 0, random.Random(seed)).changed}
        everywhere = {index for seed in range(60) for index in free[name](text, 0, random.Random(seed)).changed}
        assert changed == everywhere - closed and everywhere & closed
        for seed in range(20):
            assert protection.strings(source(text, 0, random.Random(seed)).text) == protection.strings(text)


def viewed(seed: int = 0) -> ViewedDataset:
    return ViewedDataset(review_data(12), {"fickle": RandomSynonyms(table(SYNONYMS, "synonym"))}, seed)


def test_a_view_depends_on_seed_epoch_and_row_only() -> None:
    data, again = viewed(), viewed()
    data.set_epoch(3)
    again.set_epoch(3)
    state = random.getstate()
    forwards = [data[i] for i in range(12)]
    backwards = [again[i] for i in reversed(range(12))][::-1]
    assert forwards == backwards and random.getstate() == state
    data.set_epoch(4)
    assert [data[i] for i in range(12)] != forwards
    other = viewed(seed=1)
    other.set_epoch(3)
    assert [other[i] for i in range(12)] != forwards


def test_rows_keep_their_own_columns() -> None:
    data, plain = viewed(), review_data(12)
    for index in range(12):
        row = data[index]
        assert {key: row[key] for key in plain[index]} == plain[index]
        assert row["fickle_ok"] in (0.0, 1.0) and len(row["fickle_input_ids"]) == len(row["fickle_attention_mask"])
    assert sum(data[index]["fickle_ok"] for index in range(12)) > 6


def test_draw_views_takes_texts_with_both_views_until_the_limit() -> None:
    synonyms, antonyms = table({"good": ["fine"]}, "synonym"), table({"good": ["bad"], "cold": ["warm"]}, "antonym")
    rows = [
        {"sentence": text, "label": label} for text, label in (("a good film", 0), ("a cold film", 1), ("good", 2))
    ]
    data, order = review_data(rows=rows * 30), list(range(90))
    drawn = draw_views(data, order, RandomSynonyms(synonyms), OneAntonym(antonyms, frozenset({2})), limit=8, seed=0)
    assert drawn.originals == [("a good film",)] * 8  # "cold" has no synonym, label 2 is skipped
    assert drawn.fickle == [("a fine film",)] * 8 and drawn.obstinate == [("a bad film",)] * 8
    assert len(draw_views(data, order, RandomSynonyms(synonyms), OneAntonym(antonyms), limit=1000).originals) < 60
    cut = TextDataset(rows * 30, ("sentence",), build_tokenizer(), max_length=3)  # "a", and "good" where it is alone
    found = draw_views(cut, order, RandomSynonyms(synonyms), OneAntonym(antonyms), limit=1000)
    assert set(found.originals) == {("good",)}


CONTRACTIONS = {
    "re": ["sos"],
    "don": ["donated"],
    "t": ["ton"],
    "do": ["doing"],
    "don't": ["didn't"],
    "film": ["plot"],
}


def test_views_leave_parts_of_contractions_alone_and_keep_the_apostrophe() -> None:
    lexicon, text = table(CONTRACTIONS, "synonym"), Text(("they’re they 're do n't don 't Don’t film 's",))
    drawn = {RandomSynonyms(lexicon)(text, 0, random.Random(seed)).text.columns[0] for seed in range(60)}
    assert drawn == {
        f"they’re they 're do n't don 't {a} {b} 's" for a in ("Don’t", "Didn’t") for b in ("film", "plot")
    }
    only = OneAntonym(table({**CONTRACTIONS, "film": []}, "antonym"))
    assert {only(text, 0, random.Random(seed)).text.columns[0] for seed in range(9)} == {
        "they’re they 're do n't don 't Didn’t film 's"
    }
    assert not only(Text(("they’re they 're do n't",)), 0, random.Random(0)).ok


@pytest.mark.parametrize(("rule", "index"), [(TEXTATTACK_WORDS, 3), (UNICODE_WORDS, 2)])
def test_pairs_are_aligned_by_the_rule_that_numbered_them(rule: WordRule, index: int) -> None:
    class Source:
        extras = ("words",)

        def __call__(self, text: Text, label: int | None, rng: random.Random, read: object = None) -> View:
            return View(Text(("don’t the great film",), rule), True, (index,), ((index, index),))

    data = review_data(rows=[{"sentence": "don’t the good film", "label": 1}])
    row = ViewedDataset(data, {"v": Source()}, 0)[0]
    tokens = build_tokenizer().convert_ids_to_tokens(row["v_input_ids"])
    assert [token for token, number in zip(tokens, row["v_words"], strict=True) if number] == ["great"]
    tokens = build_tokenizer().convert_ids_to_tokens(row["input_ids"])
    assert [token for token, number in zip(tokens, row["v_main_words"], strict=True) if number] == ["good"]
