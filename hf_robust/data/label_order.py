"""Which class of the model each label of the data is: said by names, set by --class_names, or guessed aloud."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.labels import (
    GENERIC,
    MULTI,
    REGRESSION,
    SINGLE,
    Labels,
    are_unnamed,
    checkpoint_names,
    is_missing,
    label_key,
    labels_of_checkpoint,
    named_labels,
    observed_labels,
    same_names,
)
from hf_robust.data.load import Corpus
from hf_robust.metrics.permutation import LabelPermutation

logger = logging.getLogger(__name__)


def find_labels(
    corpus: Corpus, args: DataTrainingArguments, config: Any, *, training: bool = True, classes: bool = False
) -> Labels:
    """Labels of the task: GLUE's, --class_names, the source's own names, the training rows', else the checkpoint's.

    They are numbered as the checkpoint numbers them where it has the same names. Where nothing says which of its
    classes a label is, that is guessed with a warning; a model that is trained from here learns the order, so that
    only names can be wrong.

    Args:
        training: the model is trained on these labels; else it has its classes, and data that has only integers takes
            the checkpoint's names.
        classes: something in the run needs one class for each row, so that whole floats are no regression.

    Raises:
        ValueError: there is no label column, or the labels make no sense together.
    """
    labels = _found(corpus, args, config, training, classes)
    if labels.guess:
        logger.warning(labels.guess)
    return replace(labels, theirs=checkpoint_names(config))


def _found(corpus: Corpus, args: DataTrainingArguments, config: Any, training: bool, classes: bool) -> Labels:
    if args.task_name == "stsb":
        return Labels(REGRESSION)
    declared = () if args.do_regression else corpus.label_names
    rows = corpus.rows("train") if "train" in corpus.splits else []
    kind = MULTI if rows and isinstance(rows[0].get(corpus.label_column), list) else SINGLE
    if args.class_names:
        return _given(corpus, args.class_names, kind, config, training)
    if declared:
        return _matched(named_labels(declared, kind), config, training)
    if rows:
        observed = observed_labels(corpus.label_values("train"), corpus.label("train"), args.do_regression, classes)
        if training or not are_integers(observed.names) or observed.num_labels != config.num_labels:
            return _matched(observed, config, training, ordered=False)
    return _of_checkpoint(corpus, config)


def _given(corpus: Corpus, names: Sequence[str], kind: str, config: Any, training: bool) -> Labels:
    """--class_names: of the data's integers; of the model's classes where the data's have names; LABEL_<id> is either.

    With names that the checkpoint has too, its order of them holds.
    """
    theirs, declared = checkpoint_names(config), corpus.label_names
    order = [int(match[1]) for match in map(GENERIC.fullmatch, names) if match]
    if len(order) == len(names) == len(theirs):
        if sorted(order) != list(range(len(names))):
            raise ValueError(
                f"--class_names must name each of LABEL_0 to LABEL_{len(names) - 1} once, got {' '.join(names)}."
            )
        called = [declared[order.index(index)] for index in range(len(order))] if declared else theirs
        ids = {**named_labels(called).ids, **dict(zip(_numbers(theirs), order, strict=True))}
        return Labels(kind, tuple(called), ids, origin="--class_names")
    named = bool(declared) and same_names(names, declared)
    labels = named_labels(names, kind, _numbers(theirs) if len(theirs) == len(names) else None)
    labels = replace(named_labels(declared, kind) if named else labels, origin="--class_names")
    if same_names(names, theirs) or (has_integers(corpus) and not named):
        return _matched(labels, config, training)
    return labels.in_order(names)


def _matched(labels: Labels, config: Any, training: bool, ordered: bool = True) -> Labels:
    """The data's labels as the checkpoint numbers them; what is guessed where it has other names.

    Args:
        ordered: their order was given with their names; it is not where they were found in the rows and sorted.
    """
    if labels.is_regression:
        return labels
    theirs, guess = checkpoint_names(config), ""
    if same_names(labels.names, theirs):
        return labels.in_order(theirs)
    if training and not _is_new(config):
        guess = (
            f"The model was trained with labels that are not those of the data, {', '.join(theirs)}, so they are not "
            f"taken over: its classes become {numbered_names(labels.names)}. Other names are given by --class_names."
        )
    # A model that was trained on integers has them in their order.
    known = (ordered and all(name.isdecimal() for name in theirs)) or (
        _is_new(config) and labels.origin == "--class_names"
    )
    if not training and not known and len(theirs) == len(labels.names):
        guess = (
            f"The model calls its classes {', '.join(theirs)} and the data {', '.join(labels.names)}: they are taken "
            "for one another in this order. If that is wrong, give the data's names in the model's order by "
            "--class_names, or the model's in the order of the data's integers."
        )
    return replace(labels, guess=guess)


def model_labels(config: Any, class_names: Sequence[str] | None) -> Labels:
    """The classes of a model that is asked about texts whose labels are ids: its names, else those that are given.

    Raises:
        ValueError: another number of names was given than the model has classes.
    """
    labels = labels_of_checkpoint(config)
    if not class_names:
        return labels
    if len(class_names) != len(labels.names):
        raise ValueError(
            f"--class_names {' '.join(class_names)} names {len(class_names)} classes, and the model has "
            f"{len(labels.names)}: {', '.join(labels.names)}."
        )
    if not are_unnamed(labels.names) or are_unnamed(class_names):
        return labels
    return replace(named_labels(class_names), origin="--class_names")


def permuted_labels(found: LabelPermutation | None, corpus: Corpus, labels: Labels, trained: bool = False) -> str:
    """What was found of permuted labels, and what sets them right, in words; empty where nothing was.

    Args:
        labels: as `find_labels` found them.
        trained: the model learnt the labels of this data's own training rows, which no flag numbers anew.
    """
    if found is None:
        return ""
    way_out = (
        "It was trained on the training rows of this data, so these and the evaluation rows may number their classes "
        "otherwise: compare the labels of both."
        if trained
        else how_to_renumber(corpus, labels, found.order)
    )
    return f"{found.in_words(labels.names)} {way_out}"


def how_to_renumber(corpus: Corpus, labels: Labels, order: Sequence[int]) -> str:
    """How to say that a prediction ``p`` means the label that is ``order[p]`` now, as a sentence."""
    place = {label: prediction for prediction, label in enumerate(order)}
    theirs = labels.theirs
    if has_integers(corpus) and not corpus.label_names:
        called = [f"LABEL_{index}" for index in range(len(theirs))] if are_unnamed(theirs) else theirs
        names = [called[place[labels.ids[number]]] for number in _numbers(theirs)]
    elif not same_names(labels.names, theirs):
        names = [labels.names[label] for label in order]
    else:
        return "Data and model call their classes alike, so the names in the model's config.json may be wrong."
    return f"To read them so, give --class_names {shlex.join(names)}."


def _of_checkpoint(corpus: Corpus, config: Any) -> Labels:
    """The model's own classes; integers without names are taken for its ids."""
    labels = labels_of_checkpoint(config)
    numbered = all(name.isdecimal() for name in labels.names)  # trained on integers, and those are found by value
    if not labels.is_single or numbered or not has_integers(corpus):
        return labels
    guess = (
        f"The labels of {corpus.name} are integers without names, taken for the ids of the model's classes: "
        f"{numbered_names(labels.names)}. If that is wrong, name them in their order by --class_names."
    )
    return replace(labels, guess=guess)


def _is_new(config: Any) -> bool:
    """Whether the checkpoint's classes have no names, as those of a model that was not fine-tuned yet."""
    return all(GENERIC.fullmatch(name) for name in checkpoint_names(config))


def _numbers(theirs: Sequence[str]) -> Sequence[int]:
    """The integers that data of a checkpoint has: those it was trained on, in their order, else its ids."""
    return sorted(map(int, theirs)) if all(name.isdecimal() for name in theirs) else range(len(theirs))


def has_integers(corpus: Corpus) -> bool:
    """Whether the labels of a data set are numbers that may be ids."""
    return are_integers([row.get(corpus.label_column) for rows in corpus.splits.values() for row in rows])


def are_integers(values: Sequence[Any]) -> bool:
    """Whether there are labels, and all of them numbers that may be ids."""
    known = [value for value in values if not is_missing(value)]
    return bool(known) and all(isinstance(label_key(value), int) for value in known)


def numbered_names(names: Sequence[str]) -> str:
    """``0 negative, 1 positive``."""
    return ", ".join(name if name == str(index) else f"{index} {name}" for index, name in enumerate(names))
