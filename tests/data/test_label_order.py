"""Which class of the model a label of the data becomes: by name, by --class_names, or by a guess that is said."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.label_order import find_labels, how_to_renumber, model_labels
from hf_robust.data.load import Corpus

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
