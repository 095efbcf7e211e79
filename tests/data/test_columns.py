"""The choice of the text columns: named columns, guesses, warnings and errors."""

import logging

import pytest

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.columns import choose_text_columns, no_label_column

TEXT = "a film of {} words"


def chosen(columns, count=60, **flags):
    """Rows of ``columns``: name -> what a row number becomes."""
    rows = [{name: value(index) for name, value in columns.items()} | {"label": index % 2} for index in range(count)]
    return choose_text_columns(rows, DataTrainingArguments(train_file="x.csv", **flags), "label")


@pytest.mark.parametrize(
    "other",
    [
        lambda index: index,
        lambda index: str(index),
        lambda index: f"{index}.5",
        lambda index: f"tt{index:07}",
        lambda index: f"2024-01-{index:02}",
        lambda index: f"https://example.org/{chr(97 + index % 26)}",
        lambda index: "" if index % 2 else "7",
        lambda index: None,
        lambda index: [index],
    ],
)
def test_numbers_ids_and_links_are_no_text_whatever_their_column_is_called(other, caplog):
    assert chosen({"row": other, "review": TEXT.format}) == ("review",)
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "mark"),
    [("label_text", lambda index: f"word {chr(97 + index % 26)}"), ("genre", lambda index: "abc"[index % 3])],
)
def test_further_labels_and_marks_are_passed_over_aloud(name, mark, caplog):
    assert chosen({name: mark, "review": TEXT.format}) == ("review",)
    assert (
        f"The text columns are guessed to be review, not {name}. If that is wrong, name them by --text_column_names."
        in caplog.text
    )


def test_a_column_that_only_some_rows_have_is_no_text(caplog):
    rows = [{"review": "a b", "label": 0}, {"review": "c d", "note": "e f", "label": 1}]
    assert choose_text_columns(rows, DataTrainingArguments(train_file="x.jsonl"), "label") == ("review",)
    assert "not note" in caplog.text


def test_two_texts_are_a_pair_and_that_is_said_unless_their_names_say_so(caplog):
    with caplog.at_level(logging.WARNING):
        for names in (("premise", "hypothesis"), ("sentence2", "sentence1"), ("question", "sentence")):
            assert set(chosen(dict.fromkeys(names, TEXT.format))) == set(names)
        assert not caplog.text
        assert chosen({"title": TEXT.format, "body": TEXT.format}) == ("title", "body")
    assert "The text columns are guessed to be title and body. If that is wrong, name them" in caplog.text


def test_three_texts_are_asked_about():
    three = dict.fromkeys(("title", "body", "comment"), TEXT.format)
    with pytest.raises(ValueError, match="title, body, comment all hold text, .* by --text_column_names"):
        chosen(three)
    assert chosen(three, text_column_names="body") == ("body",)


def test_short_texts_of_few_rows_are_text():
    assert chosen({"word": lambda index: "ab"[index % 2]}, count=4) == ("word",)
    assert chosen({"word": lambda index: "ab"[index % 2]}, count=400) == ("word",)  # there is no other
    assert chosen({"word": lambda index: "a b c d"}, count=400) == ("word",)


@pytest.mark.parametrize(
    ("columns", "hint"),
    [
        (["text", "target"], "is it target"),
        (["text", "Label"], "is it Label"),
        (["a fine film .", "1"], "If the file has no header line, add one"),
        (["sentence;label"], "separated by ';'"),
        (["sentence,label"], "separated by ','"),
        (["text", "score"], "--label_column_name."),
    ],
)
def test_a_missing_label_column_says_what_may_be_meant(columns, hint):
    said = no_label_column("train (x.csv)", columns, "label")
    assert hint in said and said.startswith(f"train (x.csv) has no column 'label', its columns are {columns}")
