"""The forms of rows that TextDataset and choose_examples take: all give the same texts, labels and names."""

from typing import Any

import pytest

from hf_robust.attacks import choose_examples
from hf_robust.data import TextDataset

datasets = pytest.importorskip("datasets")
pandas = pytest.importorskip("pandas")

ROWS = [
    {"text": "the film was good", "mood": "pos"},
    {"text": "dull plot", "mood": "neg"},
    {"text": "", "mood": "pos"},
]
NAMES = ["pos", "neg"]
"""The order of the model's classes, which is not the alphabetical one of the data."""


def named() -> Any:
    """A data set whose integers are named neg, pos."""
    return datasets.Dataset.from_list(ROWS).cast_column("mood", datasets.ClassLabel(names=["neg", "pos"]))


FORMS = {
    "list": lambda: ROWS,
    "Dataset": lambda: datasets.Dataset.from_list(ROWS),
    "ClassLabel": named,
    "DataFrame": lambda: pandas.DataFrame(ROWS, index=[7, 3, 5]),
}


def build(data: Any, tokenizer: Any, columns: Any = "text", **options: Any) -> TextDataset:
    return TextDataset(data, columns, tokenizer, max_length=16, **{"label_column": "mood", **options})


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(form: str, word_tokenizer: Any) -> None:
    data = build(FORMS[form](), word_tokenizer, class_names=NAMES)
    assert [data.texts(index) for index in range(3)] == [(row["text"],) for row in ROWS]
    assert data.labels == [0, 1, 0] and data.class_names == ("pos", "neg") and data.text_columns == ("text",)
    assert data[1]["input_ids"] == word_tokenizer("dull plot")["input_ids"] and data[1]["label"] == 1
    chosen = choose_examples(FORMS[form](), 2, 0, text_columns=["text"], label_column="mood", class_names=NAMES)
    assert chosen == choose_examples(data, 2, 0) and len(chosen) == 2


def test_the_names_of_a_class_label_are_the_default(word_tokenizer: Any) -> None:
    data = build(named(), word_tokenizer)
    assert data.labels == [1, 0, 1] and data.class_names == ("neg", "pos")


def test_ids_scores_and_pairs_stay(word_tokenizer: Any) -> None:
    rows = [{"a": "good", "b": "bad", "mood": 1}, {"a": "dull", "b": "fine", "mood": 0}]
    data = build(pandas.DataFrame(rows), word_tokenizer, ("a", "b"))
    assert data.labels == [1, 0] and data.texts(1) == ("dull", "fine") and data.class_names == ()
    assert build([{"text": "good", "mood": 0.5}], word_tokenizer).labels == [0.5]
    assert build(ROWS, word_tokenizer, label_column=None).labels is None


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a text column": (ROWS, {"columns": "body"}, r"no column 'body': its columns are \['text', 'mood'\]"),
    "the label column": (
        ROWS,
        {"label_column": "label"},
        r"no column 'label': its .* \['text', 'mood'\]. Name the col",
    ),
    "names without an order": (ROWS, {}, r"texts \(neg, pos\), and a model needs ids: pass class_names=\[...\]"),
    "an unknown name": (ROWS, {"class_names": ["neg", "other"]}, "no class: 'pos' .the classes are neg, other."),
    "a label that is missing": (
        [{"text": "x", "mood": None}],
        {},
        "row 0 of the data set has no label in column 'mood'",
    ),
    "several splits": ({"train": ROWS, "test": ROWS}, {}, r"got a dict with train, test: pass one split"),
    "an iterator": (iter(ROWS), {}, r"got a list_iterator: pass list\(data\)"),
    "rows that are lists": ([["x", 1]], {}, "row 0 of the data set must be a dict of its columns, got a list"),
    "lists of ids": (
        [{"text": "x", "mood": [0, 2]}, {"text": "y", "mood": [1]}],
        {},
        r"row 0 .* the labels \[0, 2\] .* needs a list of 0.0 or 1.0 for each class",
    ),
    "no rows": (pandas.DataFrame({"text": [], "mood": []}), {}, "the data set has no rows"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_rows_are_one_sentence(case: str, word_tokenizer: Any) -> None:
    data, options, sentence = WRONG[case]
    with pytest.raises(ValueError, match=sentence):
        build(data, word_tokenizer, **options)


def test_an_unlabelled_row_of_a_named_data_set_is_refused(word_tokenizer: Any) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "mood": datasets.ClassLabel(names=["neg", "pos"])})
    data = datasets.Dataset.from_dict({"text": ["good"], "mood": [-1]}, features=features)
    with pytest.raises(ValueError, match="no class: -1 .the classes are neg, pos.: leave these rows out"):
        build(data, word_tokenizer)


def test_rows_to_attack_need_their_columns() -> None:
    with pytest.raises(ValueError, match=r"a list does not say which columns to attack: pass text_columns=\[...\]"):
        choose_examples(ROWS, 2, 0)
