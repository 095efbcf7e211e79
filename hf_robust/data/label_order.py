"""Map the labels of the data to the classes of the model: by names, by --class_names, or by a guess with a warning."""

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
    """Find the labels: GLUE's, --class_names, the names in the data, the training rows, or the checkpoint's.

    If the checkpoint has the same names, its order is used. If the class of a label is unknown, it is guessed with a
    warning. A model that is trained learns the order, so that only its label names can be wrong.

    Args:
        training: the model is trained on these labels; otherwise it has its classes, and integer labels without names
            get the checkpoint's names.
        classes: the run needs one class for each row, so that whole numbers as floats are classes and no regression.

    Raises:
        ValueError: there is no label column, or the labels do not fit together.
    """
    labels = _infer(corpus, args, config, training, classes)
    if labels.guess:
        logger.warning(labels.guess)
    return replace(labels, model_names=checkpoint_names(config))


def _infer(corpus: Corpus, args: DataTrainingArguments, config: Any, training: bool, classes: bool) -> Labels:
    if args.task_name == "stsb":
        return Labels(REGRESSION)
    declared = () if args.do_regression else corpus.label_names
    rows = corpus.rows("train") if "train" in corpus.splits else []
    first = next((split[0] for split in corpus.loaded_rows if split), {})
    kind = MULTI if isinstance(first.get(corpus.label_column), list) else SINGLE
    if args.class_names:
        return _from_class_names(corpus, args.class_names, kind, config, training)
    if declared:
        return _in_model_order(named_labels(declared, kind), config, training)
    if corpus.stream is not None:
        return _before_streaming(corpus, args, config, classes)
    if rows:
        observed = observed_labels(
            corpus.label_values("train"), corpus.describe_split("train"), args.do_regression, classes
        )
        if training or not are_integers(observed.names) or observed.num_labels != config.num_labels:
            return _in_model_order(observed, config, training, ordered=False)
    return _of_checkpoint(corpus, config)


def _before_streaming(corpus: Corpus, args: DataTrainingArguments, config: Any, classes: bool) -> Labels:
    """Return the labels of training rows that are not read yet: those of the validation rows, or the model's classes.

    The model's classes are used if they have the names of all validation labels, or if there are no validation rows.

    Raises:
        ValueError: there are no validation rows, and the model has no class names.
    """
    if args.do_regression:
        return Labels(REGRESSION)
    if "validation" not in corpus.splits:
        if _is_new(config):
            raise ValueError(
                "--streaming needs the names of all classes before the training rows are read, and neither the data "
                "nor the model names them: give --class_names, or validation rows."
            )
        return _of_checkpoint(corpus, config)
    where = corpus.describe_split("validation")
    observed = observed_labels(corpus.label_values("validation"), where, args.do_regression, classes)
    if observed.names and set(map(label_key, observed.names)) <= set(map(label_key, checkpoint_names(config))):
        return _of_checkpoint(corpus, config)
    return _in_model_order(observed, config, training=True, ordered=False)


def _from_class_names(corpus: Corpus, names: Sequence[str], kind: str, config: Any, training: bool) -> Labels:
    """Return the labels by --class_names.

    They name the data's integers or, if the data has names, the model's classes; LABEL_<id> works for both. If the
    checkpoint has the same names, its order is used.
    """
    model_names, declared = checkpoint_names(config), corpus.label_names
    order = [int(match[1]) for match in map(GENERIC.fullmatch, names) if match]
    if len(order) == len(names) == len(model_names):
        if sorted(order) != list(range(len(names))):
            raise ValueError(
                f"--class_names must name each of LABEL_0 to LABEL_{len(names) - 1} once, got {' '.join(names)}."
            )
        class_names = [declared[order.index(index)] for index in range(len(order))] if declared else model_names
        ids = {**named_labels(class_names).ids, **dict(zip(_numbers(model_names), order, strict=True))}
        return Labels(kind, tuple(class_names), ids, origin="--class_names")
    named = bool(declared) and same_names(names, declared)
    labels = named_labels(names, kind, _numbers(model_names) if len(model_names) == len(names) else None)
    labels = replace(named_labels(declared, kind) if named else labels, origin="--class_names")
    if same_names(names, model_names) or (has_integers(corpus) and not named):
        return _in_model_order(labels, config, training)
    return labels.in_order(names)


def _in_model_order(labels: Labels, config: Any, training: bool, ordered: bool = True) -> Labels:
    """Return the labels in the checkpoint's order, or with a guess if the checkpoint has other names.

    Args:
        ordered: the order was given with the names; otherwise the names are the sorted values of the rows.
    """
    if labels.is_regression:
        return labels
    model_names, guess = checkpoint_names(config), ""
    if same_names(labels.names, model_names):
        return labels.in_order(model_names)
    if training and not _is_new(config):
        guess = (
            f"The model was trained with other labels than those of the data, {', '.join(model_names)}, which are "
            f"replaced: "
            f"its classes are now {numbered_names(labels.names)}. Give other names by --class_names."
        )
    # A model that was trained on integers has its classes in their order.
    known = (ordered and all(name.isdecimal() for name in model_names)) or (
        _is_new(config) and labels.origin == "--class_names"
    )
    if not training and not known and len(model_names) == len(labels.names):
        guess = (
            f"The classes are {', '.join(model_names)} in the model and {', '.join(labels.names)} in the data, and "
            f"are matched "
            "in this order. If that is wrong, give the data's names in the model's order by --class_names, or the "
            "model's names in the order of the data's integers."
        )
    return replace(labels, guess=guess)


def model_labels(config: Any, class_names: Sequence[str] | None) -> Labels:
    """Return the classes of a model for texts whose labels are ids: its own names, else ``class_names``.

    Raises:
        ValueError: ``class_names`` has another number of names than the model has classes.
    """
    labels = labels_of_checkpoint(config)
    if not class_names:
        return labels
    if len(class_names) != len(labels.names):
        raise ValueError(
            f"--class_names {' '.join(class_names)} names {len(class_names)} classes, and the model has "
            f"{len(labels.names)}: {', '.join(labels.names)}. Give one name for each."
        )
    if not are_unnamed(labels.names) or are_unnamed(class_names):
        return labels
    return replace(named_labels(class_names), origin="--class_names")


def permuted_labels(
    permutation: LabelPermutation | None, corpus: Corpus, labels: Labels, trained: bool = False
) -> str:
    """Return a warning that the labels seem permuted, with the way to correct them; "" if there is no permutation.

    Args:
        permutation: the order of the labels that fits the predictions far better, if there is one.
        labels: the labels as `find_labels` returned them.
        trained: the model was trained on the training rows of this data, so that --class_names cannot help.
    """
    if permutation is None:
        return ""
    remedy = (
        "The model was trained on the training rows of this data, so training and evaluation rows may number their "
        "classes differently: compare the labels of both."
        if trained
        else how_to_renumber(corpus, labels, permutation.order)
    )
    return f"{permutation.in_words(labels.names)} {remedy}"


def how_to_renumber(corpus: Corpus, labels: Labels, order: Sequence[int]) -> str:
    """Return a sentence with the --class_names by which a prediction ``p`` means the label ``order[p]``."""
    predictions = {label: prediction for prediction, label in enumerate(order)}
    model_names = labels.model_names
    if has_integers(corpus) and not corpus.label_names:
        unnamed = are_unnamed(model_names)
        class_names = [f"LABEL_{index}" for index in range(len(model_names))] if unnamed else model_names
        names = [class_names[predictions[labels.ids[number]]] for number in _numbers(model_names)]
    elif not same_names(labels.names, model_names):
        names = [labels.names[label] for label in order]
    else:
        return "Data and model have the same class names, so the names in the model's config.json may be wrong."
    return f"To use this order, give --class_names {shlex.join(names)}."


def _of_checkpoint(corpus: Corpus, config: Any) -> Labels:
    """Return the model's own classes; integer labels without names are read as its ids."""
    labels = labels_of_checkpoint(config)
    numbered = all(name.isdecimal() for name in labels.names)  # trained on integers, which are matched by value
    if not labels.is_single or numbered or not has_integers(corpus):
        return labels
    guess = (
        f"The labels of {corpus.name} are integers without names, and are read as the ids of the model's classes: "
        f"{numbered_names(labels.names)}. If that is wrong, give their names in the order of the integers by "
        "--class_names."
    )
    return replace(labels, guess=guess)


def _is_new(config: Any) -> bool:
    """Whether the checkpoint's classes have no names, as in a model that is not fine-tuned."""
    return all(GENERIC.fullmatch(name) for name in checkpoint_names(config))


def _numbers(model_names: Sequence[str]) -> Sequence[int]:
    """Return the integer labels in data of a checkpoint: those it was trained on, in their order, else its ids."""
    if all(name.isdecimal() for name in model_names):
        return sorted(map(int, model_names))
    return range(len(model_names))


def has_integers(corpus: Corpus) -> bool:
    """Whether all labels of a data set are integers."""
    return are_integers([row.get(corpus.label_column) for rows in corpus.loaded_rows for row in rows])


def are_integers(values: Sequence[Any]) -> bool:
    """Whether there are labels, and all of them are integers; missing labels do not count."""
    known = [value for value in values if not is_missing(value)]
    return bool(known) and all(isinstance(label_key(value), int) for value in known)


def numbered_names(names: Sequence[str]) -> str:
    """Write names with their ids: ``0 negative, 1 positive``."""
    return ", ".join(name if name == str(index) else f"{index} {name}" for index, name in enumerate(names))
