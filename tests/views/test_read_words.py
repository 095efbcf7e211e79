"""Views change words that the model reads: a change after the cut, or without an effect on tokens, does not count."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ANTONYMS, SYNONYMS, build_tokenizer, review_rows, table

from hf_robust.data import TextDataset
from hf_robust.views import GeneratedViews, OneAntonym, RandomSynonyms, View, ViewedDataset, disable_unchanged
from hf_robust.views.generated import SampledViews
from hf_robust.words import Text

TOKENIZER = build_tokenizer()
SOURCES = {
    "fickle": RandomSynonyms(table(SYNONYMS, "synonym")),
    "obstinate": OneAntonym(table(ANTONYMS, "antonym")),
}
words = st.lists(st.sampled_from(["good", "bad", "film", "splendid", "warm", "the", "unheard", "very,"]), max_size=9)
sentences = words.map(" ".join)


def data_of(
    columns: tuple[str, ...], max_length: int | None, tokenizer: Any = TOKENIZER, **options: Any
) -> TextDataset:
    names = tuple("ab"[: len(columns)])
    rows = [{**dict(zip(names, columns, strict=True)), "label": 0}]
    return TextDataset(rows, names, tokenizer, max_length=max_length, **options)


@given(st.lists(sentences, min_size=1, max_size=2), st.integers(6, 20), st.sampled_from([False, "max_length"]))
@settings(max_examples=150, deadline=None)
def test_a_valid_view_has_other_tokens_and_no_readable_one_is_missed(
    columns: list[str], max_length: int, padding: bool | str
) -> None:
    data = data_of(tuple(columns), max_length, padding=padding)
    text = Text(tuple(columns))
    read = {word for word, places in enumerate(data.word_positions(text)) if places}
    assert data.read_words(0) in (None, read) and (data.read_words(0) is None) <= (len(read) == len(text.words))
    open_words = {at for at in read if text.tokens[at] in ANTONYMS}
    for seed in range(4):
        row = ViewedDataset(data, SOURCES, seed)[0]
        for name in SOURCES:
            assert row[f"{name}_ok"] == (row[f"{name}_input_ids"] != row["input_ids"])
        assert row["obstinate_ok"] == bool(open_words)


@given(sentences, st.sets(st.integers(0, 8)), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_sources_change_words_that_are_read_alone(sentence: str, read: set[int], seed: int) -> None:
    text = Text((sentence,))
    for source in SOURCES.values():
        view = source(text, 0, random.Random(seed), read)
        assert set(view.changed) <= read and bool(view.changed) == view.ok
        assert [a for i, a in enumerate(view.text.tokens) if i not in view.changed] == [
            a for i, a in enumerate(text.tokens) if i not in view.changed
        ]


@pytest.mark.parametrize("relation", ["synonym", "antonym"])
def test_one_unknown_word_for_another_is_no_view(relation: str) -> None:
    lexicon = table({"zebra": ["yak"]}, relation)
    source = RandomSynonyms(lexicon) if relation == "synonym" else OneAntonym(lexicon)
    rows = [ViewedDataset(data_of(("the zebra",), 32), {"v": source}, seed)[0] for seed in range(8)]
    assert all(row["v_ok"] == 0.0 and row["v_input_ids"] == row["input_ids"] for row in rows)


def test_which_words_are_read() -> None:
    assert data_of(("the film was good",), 32).read_words(0) is None
    assert data_of(("the film was good",), 5).read_words(0) == {0, 1, 2}
    assert data_of(("the film was good",), None).read_words(0) is None  # 64 tokens by the tokenizer itself
    assert data_of(("film " * 70,), None).read_words(0) == set(range(62))
    assert data_of(("a splendid film",), 4).read_words(0) == {0, 1}  # of "splendid" the first piece


def test_a_slow_tokenizer_cannot_say_what_is_read_and_its_views_are_looked_at_all_the_same() -> None:
    class Slow:
        is_fast, model_max_length = False, 64

        def __call__(self, *args: Any, **options: Any) -> Any:
            return TOKENIZER(*args, **options)

    data = data_of(("the the the the good",), 5, Slow())
    assert data.read_words(0) is None
    assert ViewedDataset(data, SOURCES, 0)[0]["obstinate_ok"] == 0.0


def test_made_views_are_looked_through_once_and_drawn_ones_at_every_fetch() -> None:
    rows = [{"sentence": text, "label": 0} for text in ("the good film", "the film was very good", "a zebra")]
    data = TextDataset(rows, ("sentence",), TOKENIZER, max_length=5)
    made = {0: "the fine film", 1: "the film was very fine", 2: "a yak"}
    views = disable_unchanged(data, {row: View(Text((text,)), True, ()) for row, text in made.items()}, None)
    assert [view.ok for view in views.values()] == [True, False, False]
    masked = disable_unchanged(
        data, {0: View(Text(("the good film",)), True, (), masked=(2,))}, TOKENIZER.mask_token_id
    )
    assert masked[0].ok
    assert not disable_unchanged(data, {0: View(Text(("the fine film",)), False, ())}, None)[0].ok


def test_a_text_drawn_from_all_views_may_equal_its_row() -> None:
    """It is a sample of the adversarial texts, not a view of the row that it belongs to."""
    made = GeneratedViews(make=None)  # type: ignore[arg-type]
    data = TextDataset(review_rows(1), ("sentence",), TOKENIZER, max_length=32)
    made.pool = [View(Text(data.texts(0)), True, ())]
    assert ViewedDataset(data, {"v": SampledViews(made)}, 0)[0]["v_ok"] == 1.0
