import math

import pytest

from hf_robust.data import TextDataset

ROWS = [
    {"a": "the film was good", "b": "it is", "label": 1},
    {"a": "", "b": "plot", "label": 0},
    {"a": "dull \x00\x1b film 👩‍👩‍👧 \u202eשלום\u202c", "b": "who", "label": 0},
    {"a": "good " * 10_000, "b": "bad", "label": 1},
]


@pytest.mark.parametrize("columns", [("a",), ("a", "b")])
@pytest.mark.parametrize("padding", [False, "max_length"])
def test_rows_are_tokenised_as_run_glue_does(word_tokenizer, columns, padding):
    dataset = TextDataset(ROWS, columns, word_tokenizer, max_length=16, padding=padding)
    for index, row in enumerate(ROWS):
        texts = tuple(row[column] for column in columns)
        expected = word_tokenizer(*texts, padding=padding, max_length=16, truncation=True)
        assert dataset[index] == {**expected, "label": row["label"]}
        assert dataset.encode(texts) == dict(expected)
        assert dataset.texts(index) == texts
    assert len(dataset) == 4
    assert len(dataset[3]["input_ids"]) == 16


def test_no_label_column_means_no_label(word_tokenizer):
    dataset = TextDataset(ROWS, ["a"], word_tokenizer, max_length=8, label_column=None)
    assert "label" not in dataset[0]
    assert dataset.label(0) is None


def test_more_rows_than_one_chunk_keep_their_order(word_tokenizer):
    words = ["good", "bad", "dull"]
    rows = [{"a": words[i % 3] * 1, "label": i} for i in range(2345)]
    dataset = TextDataset(rows, ["a"], word_tokenizer, max_length=8)
    assert [dataset[i]["input_ids"] for i in (0, 999, 1000, 2344)] == [
        word_tokenizer(rows[i]["a"])["input_ids"] for i in (0, 999, 1000, 2344)
    ]
    assert dataset[-1] == dataset[2344]
    with pytest.raises(IndexError):
        dataset[2345]


def test_fingerprint_covers_texts_labels_and_order(word_tokenizer):
    def fingerprint(rows, **kwargs):
        return TextDataset(rows, ["a"], word_tokenizer, max_length=8, **kwargs).fingerprint()

    changed = [{**ROWS[0], "a": "the film was bad"}, *ROWS[1:]]
    relabelled = [{**ROWS[0], "label": 0}, *ROWS[1:]]
    prints = {fingerprint(rows) for rows in (ROWS, changed, relabelled, ROWS[::-1])}
    assert len(prints) == 4
    assert fingerprint(ROWS) == fingerprint([dict(row) for row in ROWS])
    assert fingerprint(ROWS) == fingerprint(ROWS, padding="max_length")


@pytest.mark.parametrize("value", [None, math.nan, 3, ["good"]])
def test_what_is_not_text_is_refused_by_name(word_tokenizer, value):
    rows = [ROWS[0], {"a": value, "label": 0}]
    with pytest.raises(ValueError, match=r"row 1 of train \(x\.csv\) has .* in column 'a', which needs text"):
        TextDataset(rows, ["a"], word_tokenizer, max_length=8, name="train (x.csv)")


def test_lone_surrogate_is_refused_by_name(word_tokenizer):
    with pytest.raises(ValueError, match="row 0 of train .* lone surrogate at character 5"):
        TextDataset([{"a": "good \ud800", "label": 0}], ["a"], word_tokenizer, max_length=8, name="train")


def test_no_rows_missing_column_three_columns(word_tokenizer):
    with pytest.raises(ValueError, match="validation has no rows"):
        TextDataset([], ["a"], word_tokenizer, max_length=8, name="validation")
    with pytest.raises(ValueError, match="row 0 of .* has no column 'c'"):
        TextDataset(ROWS, ["c"], word_tokenizer, max_length=8)
    with pytest.raises(ValueError, match="one text column or two"):
        TextDataset(ROWS, ["a", "b", "c"], word_tokenizer, max_length=8)


def test_multi_label_rows_keep_their_lists(word_tokenizer):
    dataset = TextDataset([{"a": "good", "label": [1.0, 0.0]}], ["a"], word_tokenizer, max_length=8)
    assert dataset[0]["label"] == [1.0, 0.0]


def test_without_a_tokenizer_there_are_texts_and_labels_and_nothing_is_cut():
    dataset = TextDataset([{"a": "word " * 1000, "label": 1}], ("a",), None, max_length=None)
    assert dataset[0] == {"label": 1} and dataset.texts(0) == ("word " * 1000,) and dataset.cut_rows == frozenset()
