import logging
import random

import pytest
from transformers import BertConfig

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.label_order import find_labels
from hf_robust.data.load import Corpus
from hf_robust.data.splits import Splits, class_shares, describe_data, log_samples


def corpus_of(train, validation=(), **kwargs):
    splits = {"train": list(train), "validation": list(validation)}
    return Corpus("x.csv", splits, {"train": "x.csv", "validation": "y.csv"}, **kwargs)


def rows(*labels, **columns):
    return [{"sentence": f"good {index}", **columns, "label": label} for index, label in enumerate(labels)]


def splits_of(corpus, tokenizer, **flags):
    args = DataTrainingArguments(train_file="x.csv", **flags)
    return Splits(corpus, find_labels(corpus, args, BertConfig()), tokenizer, args)


def test_unlabelled_rows_are_left_out_and_counted(word_tokenizer, caplog):
    splits = splits_of(corpus_of(rows(0, -1, 1, -1)), word_tokenizer)
    with caplog.at_level(logging.WARNING):
        dataset = splits.labelled("train")
    assert [dataset.label(i) for i in range(len(dataset))] == [0, 1]
    assert dataset.texts(1) == ("good 2",)
    assert "2 of 4 rows of train (x.csv) have label -1" in caplog.text
    assert len(splits.unlabelled("train")) == 4


def test_limits_take_the_first_labelled_rows_and_tokenise_no_more(word_tokenizer, monkeypatch):
    splits = splits_of(corpus_of(rows(0, -1, 1, 0, 1)), word_tokenizer)
    dataset = splits.labelled("train", 2)
    assert [dataset.texts(i)[0] for i in range(2)] == ["good 0", "good 2"]
    assert len(dataset) == 2 and len(dataset._tokens["input_ids"].ends) == 3
    assert len(splits.unlabelled("train", 3)) == 3


def test_labels_that_no_training_row_has_are_named(word_tokenizer):
    splits = splits_of(corpus_of(rows("a", "b"), rows("a", "c", "d")), word_tokenizer)
    with pytest.raises(ValueError, match=r"validation \(y.csv\) has labels .*: 'c', 'd' \(known: \['a', 'b'\]\)"):
        splits.labelled("validation")
    assert len(splits.labelled("validation", 1)) == 1


def test_missing_label_column_lists_the_columns(word_tokenizer):
    args = DataTrainingArguments(train_file="x.csv")
    corpus = corpus_of([{"sentence": "good", "target": 1}])
    with pytest.raises(ValueError, match=r"train \(x.csv\) has no column 'label', its columns are \['sentence', 'tar"):
        find_labels(corpus, args, BertConfig())
    corpus.label_column = "target"
    assert find_labels(corpus, args, BertConfig()).names == ("1",)


def test_one_class_is_a_warning_and_no_regression(word_tokenizer, caplog):
    labels = find_labels(corpus_of(rows("yes")), DataTrainingArguments(train_file="x.csv"), BertConfig())
    assert labels.is_single and labels.num_labels == 1
    assert "has one class only, 'yes'" in caplog.text


def test_empty_split_is_an_error(word_tokenizer):
    with pytest.raises(ValueError, match=r"the validation split \(y.csv\) is empty"):
        splits_of(corpus_of(rows(0, 1)), word_tokenizer).labelled("validation")


def test_class_names_name_the_ids(word_tokenizer):
    splits = splits_of(corpus_of(rows(0, 2), rows(3)), word_tokenizer, class_names=["no", "maybe", "yes"])
    assert splits.labels.names == ("no", "maybe", "yes")
    assert splits.labelled("train").label(1) == 2
    with pytest.raises(ValueError, match=r"no class of the task: 3 "):
        splits.labelled("validation")


def test_multi_label_rows_become_one_float_for_each_class(word_tokenizer):
    dataset = splits_of(corpus_of(rows(["a"], ["b", "a"], [])), word_tokenizer).labelled("train")
    assert [dataset.label(i) for i in range(3)] == [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("columns", "flags", "chosen"),
    [
        (["sentence", "label"], {}, ("sentence",)),
        (["idx", "b", "label", "a", "Unnamed: 0", ""], {}, ("b", "a")),
        (["x", "sentence2", "sentence1", "label"], {}, ("sentence1", "sentence2")),
        (["x", "y", "label"], {"text_column_names": "y"}, ("y",)),
        (["x", "y", "label"], {"text_column_names": "y, x"}, ("y", "x")),
    ],
)
def test_text_columns(word_tokenizer, columns, flags, chosen):
    row = {column: "good" for column in columns} | {"label": 0}
    assert splits_of(corpus_of([row]), word_tokenizer, **flags).text_columns == chosen


def test_joined_columns_are_one_text(word_tokenizer):
    row = {"x": "good", "y": "bad", "z": "dull", "label": 0}
    flags = {"text_column_names": "x,z,y", "text_column_delimiter": " | "}
    assert splits_of(corpus_of([row]), word_tokenizer, **flags).labelled("train").texts(0) == ("good | dull | bad",)
    with pytest.raises(ValueError, match="has None in column 'sentence', which needs text"):
        splits_of(corpus_of([{**row, "y": None}]), word_tokenizer, **flags).labelled("train")
    with pytest.raises(ValueError, match="at most two text columns"):
        splits_of(corpus_of([row]), word_tokenizer, text_column_names="x,y,z")
    with pytest.raises(ValueError, match="no column w, only"):
        splits_of(corpus_of([row]), word_tokenizer, text_column_names="w")
    with pytest.raises(ValueError, match="no column except 'label' holds text"):
        splits_of(corpus_of([{"id": 3, "label": 0}]), word_tokenizer)


def test_length_is_bounded_by_the_tokenizer(word_tokenizer, caplog):
    assert splits_of(corpus_of(rows(0)), word_tokenizer).max_length == 64
    assert "--max_seq_length 128 is more than the model can read, so 64 is used" in caplog.text
    assert splits_of(corpus_of(rows(0)), word_tokenizer, max_seq_length=8).max_length == 8


@pytest.mark.parametrize("count", [1, 2, 5])
def test_samples_are_logged_without_touching_the_random_state(word_tokenizer, caplog, count):
    dataset = splits_of(corpus_of(rows(*range(count))), word_tokenizer).labelled("train")
    state = random.getstate()
    with caplog.at_level(logging.INFO):
        log_samples(dataset, seed=0)
    assert caplog.text.count("of the training set") == min(count, 3)
    assert random.getstate() == state


def test_the_variant_names_sources_and_rows(word_tokenizer):
    corpus = corpus_of(rows(0, 1), rows(1))
    splits = splits_of(corpus, word_tokenizer)
    train, validation = splits.labelled("train", 1), splits.labelled("validation")
    described = describe_data(corpus, train, validation)
    assert described["variant"] == "train: x.csv (2 rows); validation: y.csv (1 rows)"
    assert (described["train_samples"], described["eval_samples"]) == (1, 1)
    assert described["fingerprint"] == f"{train.fingerprint()}-{validation.fingerprint()}"
    assert describe_data(corpus, None, None)["fingerprint"] == ""


def test_the_shares_of_the_classes_are_those_of_the_evaluation_rows(word_tokenizer):
    splits = splits_of(corpus_of(rows(0, 1, 1, 1), rows(0, 0, 0, 1)), word_tokenizer)
    both = [splits.labelled(role) for role in ("train", "validation")]
    names = splits.labels.names
    assert describe_data(splits.corpus, *both, splits.labels)["class_shares"] == {names[0]: 0.75, names[1]: 0.25}
    assert "class_shares" not in describe_data(splits.corpus, *both)
    assert "class_shares" not in describe_data(splits.corpus, both[0], None, splits.labels)
    numbers = splits_of(corpus_of(rows(0.5, 1.5), rows(0.25)), word_tokenizer)
    assert class_shares(numbers.labelled("validation"), numbers.labels) == {}


def test_evaluation_texts_that_were_trained_on_are_counted(word_tokenizer):
    train = [{"sentence": text, "label": 1} for text in ("A good  film", "bad", "only here", "bad")]
    evaluation = [{"sentence": text, "label": 1} for text in ("a GOOD film ", "Bad", "bad", "bad film", "new")]
    splits = splits_of(corpus_of(train, evaluation), word_tokenizer)
    both = [splits.labelled(role) for role in ("train", "validation")]
    assert describe_data(splits.corpus, *both)["seen_in_training"] == 3
    first = [splits.labelled("train", 1), both[1]]  # only rows that were trained on count
    assert describe_data(splits.corpus, *first)["seen_in_training"] == 1
    assert "seen_in_training" not in describe_data(splits.corpus, None, both[1])


def test_a_pair_was_seen_only_where_both_columns_were(word_tokenizer):
    train = [{"sentence": "one", "sentence2": "two", "label": 0}]
    evaluation = [
        {"sentence": a, "sentence2": b, "label": 0} for a, b in (("one", "two"), ("one", "three"), ("two", "one"))
    ]
    splits = splits_of(corpus_of(train, evaluation), word_tokenizer, text_column_names="sentence,sentence2")
    datasets = [splits.labelled(role) for role in ("train", "validation")]
    assert describe_data(splits.corpus, *datasets)["seen_in_training"] == 1


def test_the_first_rows_of_a_sorted_file_are_said_to_be_of_one_class(word_tokenizer, caplog):
    splits = splits_of(corpus_of(rows(0, 0, 0, 1, 1)), word_tokenizer)
    splits.labelled("train")
    assert "have one class" not in caplog.text
    splits.labelled("train", 3)
    assert (
        "All of the first 3 rows of train (x.csv) have one class, 0, so classes cannot be distinguished" in caplog.text
    )


def test_a_class_without_a_row_is_said(word_tokenizer, caplog):
    splits = splits_of(corpus_of(rows("a", "b", "c"), rows("a", "c")), word_tokenizer)
    splits.labelled("train")
    assert "No row of" not in caplog.text
    splits.labelled("validation")
    assert "No row of validation (y.csv) that is used has the class b" in caplog.text


def test_texts_with_several_labels_are_counted(word_tokenizer, caplog):
    same = [{"sentence": text, "label": label} for text, label in (("a", 0), ("a", 0), ("b", 0), ("b", 1), ("c", 1))]
    splits_of(corpus_of(same), word_tokenizer).labelled("train")
    assert "1 texts of train (x.csv) occur with several labels" in caplog.text


def test_blank_labels_are_missing_and_others_compared_without_case(word_tokenizer):
    splits = splits_of(corpus_of(rows("yes", "no"), rows("Yes", " NO")), word_tokenizer)
    assert [splits.labelled("validation").label(index) for index in range(2)] == [1, 0]
    with pytest.raises(ValueError, match="labelled row 1 of validation .* has no label"):
        splits_of(corpus_of(rows("yes", "no"), rows("yes", " ")), word_tokenizer).labelled("validation")
