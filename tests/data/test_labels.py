import numpy as np
import pytest
from transformers import AutoConfig, BartConfig, BertConfig

from hf_robust.data.labels import (
    are_unnamed,
    checkpoint_names,
    label_key,
    labels_of_checkpoint,
    named_labels,
    observed_labels,
    same_names,
)
from hf_robust.data.tasks import GLUE_TASKS


def observed(values, **kwargs):
    return observed_labels(values, "train (x.csv)", **kwargs)


def named_config(*names):
    return BertConfig(id2label=dict(enumerate(names)), label2id={name: index for index, name in enumerate(names)})


def test_text_labels_are_sorted():
    labels = observed(["pos", "neg", "pos"])
    assert labels.names == ("neg", "pos")
    assert [labels.encode(raw) for raw in ("neg", "pos")] == [0, 1]
    assert labels.num_labels == 2 and labels.is_single


def test_integers_sort_by_value_and_need_not_begin_at_0():
    labels = observed([10, 9, 2])
    assert labels.names == ("2", "9", "10")
    assert labels.encode(10) == 2


def test_booleans_are_classes():
    labels = observed([True, False])
    assert labels.names == ("False", "True") and labels.encode(True) == 1
    assert not labels.knows(1)


def test_floats_are_a_regression_and_integers_on_request():
    assert observed([1, 0.5]).is_regression
    assert observed([1, 0], do_regression=True).encode(1) == 1.0
    assert observed([1.0, 0.0], do_regression=False).names == ("0", "1")
    with pytest.raises(ValueError, match="a regression needs numbers"):
        observed(["a"], do_regression=True)


def test_lists_are_multi_label():
    labels = observed([["a"], [], ["c", "a"]])
    assert labels.problem_type == "multi_label_classification"
    assert labels.encode(["c", "a"]) == [1.0, 1.0] and labels.encode([]) == [0.0, 0.0]
    assert labels.knows(["a"]) and not labels.knows(["b"]) and not labels.knows("a")
    with pytest.raises(ValueError, match="mixes lists of labels and single labels"):
        observed([["a"], "a"])


def test_minus_one_is_no_class():
    assert observed([0, -1, 2, 1]).names == ("0", "1", "2")
    with pytest.raises(ValueError, match="-1 means unlabelled"):
        observed([-1, 1])


def test_missing_and_mixed_labels_are_one_sentence():
    with pytest.raises(ValueError, match=r"row 1 of train \(x\.csv\) has no label"):
        observed(["a", None])
    with pytest.raises(ValueError, match="row 0 of .* has no label"):
        observed([float("nan"), 1.0])
    with pytest.raises(ValueError, match="mixes kinds of labels"):
        observed(["a", 1])


def test_checkpoint_order_is_followed_where_the_names_match():
    config = named_config("CONTRADICTION", "ENTAILMENT", "NEUTRAL")
    labels = named_labels(GLUE_TASKS["mnli"].label_names).in_order(checkpoint_names(config))
    assert labels.names == ("contradiction", "entailment", "neutral")
    assert [labels.encode(raw) for raw in (0, 1, 2)] == [1, 2, 0]
    assert labels.encode("neutral") == 2


@pytest.mark.parametrize("labels", [named_labels(("0", "1")), observed([0.5, 1.5])])
def test_labels_written_survive_a_reload_of_a_bart_like_default(tmp_path, labels):
    config = BartConfig(num_labels=labels.num_labels)
    labels.write_to(config)
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert again.num_labels == labels.num_labels
    assert tuple(again.id2label.values()) == (labels.names or ("score",))
    assert again.problem_type == labels.problem_type


def test_labels_of_a_checkpoint():
    config = BertConfig()
    for labels in (observed([2, 7, 9]), named_labels(("no", "yes")), observed([1.5])):
        labels.write_to(config)
        assert labels_of_checkpoint(config).names == labels.names
        assert labels_of_checkpoint(config).problem_type == labels.problem_type
    observed([2, 7, 9]).write_to(config)
    assert labels_of_checkpoint(config).encode(7) == 1
    with pytest.raises(ValueError, match="class names must differ"):
        named_labels(("a", "a"))


@pytest.mark.parametrize("text", [" Positive", "POSITIVE ", "positive"])
def test_text_labels_are_compared_without_case_and_blanks(text):
    labels = observed(["positive", "negative"])
    assert labels.knows(text) and labels.encode(text) == 1
    assert same_names([text, "Negative"], labels.names)


def test_labels_that_differ_in_case_or_blanks_alone_are_refused():
    for other in ("Positive", " positive"):
        with pytest.raises(ValueError, match="differ in case or blanks alone: write them alike"):
            observed(["positive", "negative", other])
    with pytest.raises(ValueError, match="must differ in more than case"):
        named_labels(("yes", "Yes "))


def test_whole_numbers_are_one_label_however_they_are_written():
    labels = observed([0, 1, 2])
    spellings = [1, 1.0, np.int64(1), np.float32(1), "1", " 1 ", "1.0"]
    assert {labels.encode(raw) for raw in spellings} == {1}
    assert not any(labels.knows(raw) for raw in (True, "one", 1.5, float("nan"), float("inf"), [1], None))
    assert label_key("12345678901234567891") == 12345678901234567891


def test_whole_floats_are_classes_where_something_needs_classes(caplog):
    assert observed([1.0, 0.0], classes=True).names == ("0", "1") and not caplog.text
    assert observed([1.0, 0.5], classes=True).is_regression
    assert observed([1.0, 0.0], do_regression=True, classes=True).is_regression
    assert observed([1.0, 0.5]).is_regression and not caplog.text
    assert observed([1.0, 0.0]).is_regression
    assert "whole numbers written as floats, 1.0, 0.0: a regression" in caplog.text


@pytest.mark.parametrize("missing", [None, "", "  ", float("nan")])
def test_blank_labels_are_missing(missing):
    with pytest.raises(ValueError, match="row 1 of .* has no label"):
        observed(["a", missing, "b"])


def test_minus_one_beside_names_is_no_class():
    for unlabelled in (-1, "-1"):
        assert observed(["neutral", unlabelled, "other"]).names == ("neutral", "other")
    with pytest.raises(ValueError, match="mixes kinds of labels"):
        observed([True, 1, 0])


def test_classes_that_are_only_numbered_have_no_names():
    assert are_unnamed(["0", "1"]) and are_unnamed(["LABEL_0", "LABEL_1"])
    assert not are_unnamed(["0", "neutral"]) and not are_unnamed(["False", "True"])


def test_what_a_card_says():
    assert named_labels(("a", "b")).describe() == {"label_names": ["a", "b"], "label_names_from": "data"}
    config = named_config("a", "b")
    assert labels_of_checkpoint(config).describe()["label_names_from"] == "checkpoint"
