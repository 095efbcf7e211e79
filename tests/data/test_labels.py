"""

Which class of the model a label of the data becomes: by name, by --class_names, or by a guess that is said.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, BartConfig, BertConfig

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.label_order import find_labels, how_to_renumber, model_labels
from hf_robust.data.labels import (
    are_unnamed,
    checkpoint_names,
    label_key,
    labels_of_checkpoint,
    named_labels,
    observed_labels,
    same_names,
)
from hf_robust.data.load import Corpus
from hf_robust.data.tasks import GLUE_TASKS

NAMES = ["negative", "positive"]
BOTH = ["positive", "negative"]  # another order
GENERIC = ["LABEL_0", "LABEL_1"]


def corpus_of(*labels, declared=(), role="validation"):
    rows = [{"sentence": "good", "label": label} for label in labels]
    return Corpus("x.jsonl", {role: rows}, {role: "x.jsonl"}, label_names=tuple(declared))


def config_of(names):
    return BertConfig(id2label=dict(enumerate(names)), label2id={name: index for index, name in enumerate(names)})


def found(corpus, names, class_names=None, **purpose):
    args = DataTrainingArguments(validation_file="x.jsonl", class_names=class_names)
    return find_labels(corpus, args, config_of(names), **({"training": False, "classes": True} | purpose))


@pytest.mark.parametrize(
    ("corpus", "checkpoint", "class_names", "ids", "names", "guessed"),
    [
        # integers: the checkpoint's names, in its order
        (corpus_of(0, 1), BOTH, None, {0: 0, 1: 1}, BOTH, True),
        (corpus_of(0, 1), GENERIC, None, {0: 0, 1: 1}, GENERIC, True),
        (corpus_of(0, 1), ["0", "1"], None, {0: 0, 1: 1}, ["0", "1"], False),
        (corpus_of(3, 5), ["3", "5"], None, {3: 0, 5: 1}, ["3", "5"], False),
        # integers with --class_names
        (corpus_of(0, 1), BOTH, NAMES, {0: 1, 1: 0}, BOTH, False),
        (corpus_of(0, 1), GENERIC, NAMES, {0: 0, 1: 1}, NAMES, False),
        (corpus_of(0, 1), ["0", "1"], NAMES, {0: 0, 1: 1}, NAMES, False),
        (corpus_of(3, 5), ["3", "5"], NAMES, {3: 0, 5: 1}, NAMES, False),
        (corpus_of(0, 1), BOTH, ["neg", "pos"], {0: 0, 1: 1}, ["neg", "pos"], True),
        (corpus_of(0, 1), GENERIC, ["LABEL_1", "LABEL_0"], {0: 1, 1: 0}, GENERIC, False),
        (corpus_of(0, 1), NAMES, ["LABEL_1", "LABEL_0"], {0: 1, 1: 0}, NAMES, False),
        (corpus_of(3, 5), ["3", "5"], ["LABEL_1", "LABEL_0"], {3: 1, 5: 0}, ["3", "5"], False),
        # whole floats are integers
        (corpus_of(0.0, 1.0), BOTH, NAMES, {0.0: 1, 1.0: 0}, BOTH, False),
        # names
        (corpus_of(*NAMES), BOTH, None, {"negative": 1, "Positive ": 0}, BOTH, False),
        (corpus_of(*NAMES), GENERIC, BOTH, {"negative": 1, "positive": 0}, BOTH, False),
        (corpus_of("pos", "neg"), NAMES, ["neg", "pos"], {"neg": 0, "pos": 1}, ["neg", "pos"], False),
        (corpus_of(*NAMES), BOTH, NAMES, {"negative": 1, "positive": 0}, BOTH, False),
        (corpus_of(True, False), GENERIC, ["true", "false"], {True: 0, False: 1}, ["true", "false"], False),
        # integers that the source names
        (corpus_of(0, 1, declared=NAMES), BOTH, None, {0: 1, 1: 0}, BOTH, False),
        (corpus_of(0, 1, declared=NAMES), GENERIC, None, {0: 0, 1: 1}, NAMES, True),
        (corpus_of(0, 1, declared=NAMES), ["0", "1"], None, {0: 0, 1: 1}, NAMES, False),
        (corpus_of(0, 1, declared=NAMES), ["bad", "good"], None, {0: 0, 1: 1}, NAMES, True),
        (corpus_of(0, 1, declared=NAMES), GENERIC, BOTH, {0: 1, 1: 0}, BOTH, False),
        (corpus_of(0, 1, declared=NAMES), BOTH, NAMES, {0: 1, 1: 0}, BOTH, False),
        (corpus_of(0, 1, declared=NAMES), GENERIC, ["LABEL_1", "LABEL_0"], {0: 1, 1: 0}, BOTH, False),
    ],
)
def test_an_evaluation_takes_names_over_and_says_what_it_guesses(
    corpus, checkpoint, class_names, ids, names, guessed, caplog
):
    with caplog.at_level(logging.WARNING):
        labels = found(corpus, checkpoint, class_names)
    assert {raw: labels.encode(raw) for raw in ids} == ids
    assert list(labels.names) == names
    assert bool(labels.guess) == guessed == ("--class_names" in caplog.text)


@pytest.mark.parametrize("checkpoint", [GENERIC, ["0", "1"], BOTH])
def test_names_that_the_checkpoint_has_not_are_not_its_classes(checkpoint):
    labels = found(corpus_of("neg", "pos"), checkpoint)
    assert not labels.knows("neg") and list(labels.names) == checkpoint


def test_training_numbers_the_data_and_keeps_no_other_names(caplog):
    corpus = corpus_of(0, 1, role="train")
    with caplog.at_level(logging.WARNING):
        labels = found(corpus, BOTH, training=True)
    assert labels.names == ("0", "1") and labels.encode(1) == 1
    assert "labels that are not those of the data, positive, negative, so they are not taken over" in caplog.text
    caplog.clear()
    assert found(corpus, GENERIC, training=True).names == ("0", "1") and not caplog.text
    assert found(corpus_of(*NAMES, role="train"), BOTH, training=True).names == tuple(BOTH) and not caplog.text


@pytest.mark.parametrize("checkpoint", [NAMES, GENERIC, ["0", "1"]])
def test_training_rows_tell_the_alphabetical_order_of_an_evaluation_and_that_is_a_guess(checkpoint, caplog):
    labels = found(corpus_of("pos", "neg", role="train"), checkpoint)
    assert labels.names == ("neg", "pos") and "taken for one another in this order" in caplog.text


def test_training_rows_of_another_number_of_classes_are_not_the_checkpoints():
    assert found(corpus_of(0, 1, 2, role="train"), NAMES).num_labels == 3
    assert found(corpus_of(0, 1, role="train"), NAMES).names == tuple(NAMES)


def test_numbers_of_classes_must_be_complete():
    with pytest.raises(ValueError, match="must name each of LABEL_0 to LABEL_1 once, got LABEL_1 LABEL_1"):
        found(corpus_of(0, 1), NAMES, ["LABEL_1", "LABEL_1"])
    with pytest.raises(ValueError, match="names 3 classes, and the model has 2: negative, positive"):
        model_labels(config_of(NAMES), ["a", "b", "c"])


def test_a_model_without_names_is_given_some():
    assert model_labels(config_of(GENERIC), NAMES).names == tuple(NAMES)
    assert model_labels(config_of(BOTH), NAMES).names == tuple(BOTH)
    assert model_labels(config_of(GENERIC), None).names == tuple(GENERIC)


WORDS = ["a", "b", "c", "d"]


@given(st.permutations(range(4)), st.sampled_from(["integers", "named", "numbered", "names", "declared"]))
def test_what_renumbers_predictions_does_so(order, kind):
    checkpoint = {"named": WORDS, "numbered": ["2", "3", "5", "7"]}.get(kind, [f"LABEL_{i}" for i in range(4)])
    raw = {"names": WORDS, "numbered": [2, 3, 5, 7]}.get(kind, list(range(4)))
    corpus = corpus_of(*raw, declared=WORDS if kind == "declared" else ())
    before = found(corpus, checkpoint, WORDS if kind == "names" else None)
    said = how_to_renumber(corpus, before, order)
    after = found(corpus, checkpoint, said.split("--class_names ")[1].rstrip(".").split())
    assert not after.guess
    for one in raw:
        assert order[after.encode(one)] == before.encode(one)
    if kind in ("declared", "names"):
        assert [after.names[after.encode(one)] for one in raw] == [before.names[before.encode(one)] for one in raw]


def test_where_both_sides_have_names_only_the_checkpoints_can_be_wrong():
    corpus = corpus_of(*NAMES)
    said = how_to_renumber(corpus, found(corpus, NAMES), (1, 0))
    assert "config.json may be wrong" in said


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
