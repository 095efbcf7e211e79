"""Labels of a task: its classes, their names, and their order in the model.

Checkpoints do not share the ids of classes, so labels are matched by name: the names come from the data, and their
order from the checkpoint if it has the same names. Label names are always written to the configuration.
"""

import logging
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any

logger = logging.getLogger(__name__)

SINGLE = "single_label_classification"
MULTI = "multi_label_classification"
REGRESSION = "regression"
UNLABELLED = -1  # GLUE's test sets and SNLI's rows without agreement
GENERIC = re.compile(r"LABEL_(\d+)")
WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))(?:\.0+)?")
LABEL_NAMES = "label_names"
"""Key of the label names by id in run cards."""
PROBLEM_TYPE = "problem_type"
"""Key of the kind of the task in run cards, if rows have several labels."""


@dataclass(frozen=True)
class Labels:
    """The kind of a task, the names of its classes by id, and the id of every raw value, by its `label_key`.

    Attributes:
        origin: the source of the names: ``data``, ``checkpoint`` or ``--class_names``.
        guess: a sentence about a guess of names or order, with the flag that corrects it; "" if nothing was guessed.
        model_names: the checkpoint's own class names by id, before these names are written to its configuration.
    """

    problem_type: str
    names: tuple[str, ...] = ()
    ids: Mapping[Any, int] = field(default_factory=dict)
    origin: str = "data"
    guess: str = ""
    model_names: tuple[str, ...] = ()

    @property
    def is_regression(self) -> bool:
        return self.problem_type == REGRESSION

    @property
    def is_single(self) -> bool:
        """Whether each row has one class."""
        return self.problem_type == SINGLE

    @property
    def is_multi(self) -> bool:
        """Whether each row has a set of labels."""
        return self.problem_type == MULTI

    @property
    def num_labels(self) -> int:
        return 1 if self.is_regression else len(self.names)

    def knows(self, raw: Any) -> bool:
        """Whether a raw value is a label of this task."""
        if self.is_regression:
            return isinstance(raw, Real) and raw == raw
        if self.is_multi:
            return isinstance(raw, (list, tuple)) and all(label_key(value) in self.ids for value in raw)
        return not isinstance(raw, (list, dict)) and label_key(raw) in self.ids

    def encode(self, raw: Any) -> int | float | list[float]:
        """Return the class id, the score, or one 0/1 float for each class."""
        if self.is_regression:
            return float(raw)
        if self.is_multi:
            present = {self.ids[label_key(value)] for value in raw}
            return [float(index in present) for index in range(self.num_labels)]
        return self.ids[label_key(raw)]

    def in_order(self, names: Sequence[str]) -> "Labels":
        """Return the same labels in the order of ``names``, which are the same names (`same_names`)."""
        place = {label_key(name): index for index, name in enumerate(names)}
        moved = [place[label_key(name)] for name in self.names]
        ordered = tuple(name for _, name in sorted(zip(moved, self.names, strict=True)))
        return replace(self, names=ordered, ids={raw: moved[index] for raw, index in self.ids.items()})

    def describe(self) -> dict[str, Any]:
        """Describe the labels for a run card: their names by id, the source of the names, and what was guessed."""
        guess = {"label_guess": self.guess} if self.guess else {}
        kind = {PROBLEM_TYPE: self.problem_type} if self.is_multi else {}
        return {LABEL_NAMES: list(self.names), "label_names_from": self.origin, **kind, **guess}

    def write_to(self, config: Any) -> None:
        """Write number, names and kind to a configuration; some models, such as BART, lose default names on reload."""
        names = ("score",) if self.is_regression else self.names
        config.id2label = dict(enumerate(names))
        config.label2id = {name: index for index, name in enumerate(names)}
        config.problem_type = self.problem_type


def label_key(raw: Any) -> Any:
    """Return the key by which labels are compared: text without case and outer spaces, whole numbers as int.

    >>> [label_key(raw) for raw in (" Positive", "1", 1.0, "-1", True, 0.5)]
    ['positive', 1, 1, -1, 'true', '0.5']
    """
    if isinstance(raw, Real) and not isinstance(raw, bool):
        return int(raw) if math.isfinite(raw) and raw == int(raw) else str(raw)  # type: ignore[call-overload]
    text = str(raw).strip()
    whole = WHOLE.fullmatch(text)
    return int(whole[1]) if whole else text.casefold()


def is_missing(raw: Any) -> bool:
    """Whether a value is no label: None, NaN, or text of spaces."""
    return raw is None or raw != raw or (isinstance(raw, str) and not raw.strip())


def are_unnamed(names: Sequence[str]) -> bool:
    """Whether classes have only numbers (0, LABEL_1) and no names."""
    return all(name.strip().isdecimal() or GENERIC.fullmatch(name.strip()) for name in names)


def same_names(names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether these are the names of the same classes, in any order and case."""
    return sorted(map(str, map(label_key, names))) == sorted(map(str, map(label_key, others)))


def checkpoint_names(config: Any) -> tuple[str, ...]:
    """Return the class names of a checkpoint, by id."""
    return tuple(str(config.id2label.get(index, f"LABEL_{index}")) for index in range(config.num_labels))


def named_labels(names: Sequence[str], kind: str = SINGLE, numbers: Iterable[int] | None = None) -> Labels:
    """Return labels with these names; raw values are the names or ``numbers`` in the same order (default: from 0).

    Names that are integers are only matched by value.

    Raises:
        ValueError: a name is empty, or two names differ only in case and outer spaces.
    """
    ids = {label_key(name): index for index, name in enumerate(names)}
    if len(ids) != len(names) or "" in ids:
        raise ValueError(
            f"class names must not be empty and must differ in more than case and spaces, got {list(names)}."
        )
    if not any(isinstance(key, int) for key in ids):
        ids.update(zip(range(len(names)) if numbers is None else numbers, range(len(names)), strict=True))
    return Labels(kind, tuple(names), ids)


def observed_labels(
    values: Iterable[Any], where: str, do_regression: bool | None = None, classes: bool = False
) -> Labels:
    """Return the labels of unnamed data: floats are a regression, lists multi-label, else the sorted distinct values.

    Args:
        classes: the run needs classes, so that floats that are all whole numbers (1.0) are classes.

    Raises:
        ValueError: a value is missing, kinds are mixed, two classes differ only in case or spaces, or only one class
            is left without -1 (unlabelled).
    """
    values = list(values)
    row = next((index for index, value in enumerate(values) if is_missing(value)), None)
    if row is not None:
        raise ValueError(f"row {row} of {where} has no label: fill it in or remove the row.")
    numbers = all(isinstance(value, Real) and not isinstance(value, bool) for value in values)
    if do_regression is None and numbers and not all(isinstance(value, Integral) for value in values):
        do_regression = not (classes and all(isinstance(label_key(value), int) for value in values))
        if do_regression and all(isinstance(label_key(value), int) for value in values):
            logger.warning(
                f"The labels of {where} are whole numbers written as floats, {_first_values(values)}, so this is a "
                f"regression, as "
                "in run_glue. If they are classes, give --do_regression False or --class_names."
            )
    if do_regression:
        if not numbers:
            raise ValueError(
                f"a regression needs numbers as labels, and {where} has {_first_values(values)}: leave "
                f"--do_regression out."
            )
        return Labels(REGRESSION)
    kind = MULTI if any(isinstance(value, (list, tuple)) for value in values) else SINGLE
    if kind == MULTI:
        check_label_lists(values, where)
    single = (label for value in values for label in value) if kind == MULTI else values
    return _distinct({(type(label), label): label for label in single}.values(), kind, where)  # True == 1 in Python


def check_label_lists(values: Sequence[Any], where: str) -> None:
    """Refuse single labels among lists, and lists of one 0 or 1 for each label, which name the labels 0 and 1.

    Raises:
        ValueError: ``values`` are mixed, a list has a label twice, or all lists are [0, 1] or [1, 0].
    """
    if not all(isinstance(value, (list, tuple)) for value in values):
        raise ValueError(f"{where} mixes lists of labels and single labels: make every label a list.")
    keys = [[label_key(label) for label in value] for value in values]
    remedy = "list the names or ids of the labels that a text has, such as [0, 2] in place of [1, 0, 1]."
    twice = next((key for key in keys if len(set(key)) < len(key)), None)
    if twice is not None:
        raise ValueError(f"{where} has the labels {twice}, where one occurs twice: {remedy}")
    if [1, 0] in keys and all(sorted(map(str, key)) == ["0", "1"] for key in keys):
        raise ValueError(f"{where} has the labels [1, 0] and no other than 0 and 1 in every row: {remedy}")


def _distinct(raw: Collection[Any], kind: str, where: str) -> Labels:
    known: dict[Any, Any] = {}
    for value in raw:
        key = label_key(value)
        if key == UNLABELLED:
            continue
        if isinstance(value, str) and isinstance(known.get(key, value), str) and known.get(key, value) != value:
            raise ValueError(
                f"{where} has the labels {known[key]!r} and {value!r}, which differ only in case or spaces: write "
                f"them alike, "
                "or rename one."
            )
        known.setdefault(key, value)
    if len({(isinstance(value, str), isinstance(value, bool)) for value in known.values()}) > 1:
        raise ValueError(
            f"{where} mixes kinds of labels, {_first_values(known.values())}: write all as text or all as integers."
        )
    if len(known) < min(len(raw), 2):
        raise ValueError(
            f"the labels of {where} are {_first_values(raw)}, and -1 means unlabelled, which leaves {len(known)} "
            f"classes: "
            "number the classes from 0, or write names."
        )
    if not known:
        raise ValueError(f"{where} has no class: the list of labels of every row is empty. Label some rows.")
    if len(known) == 1:
        logger.warning(f"{where} has one class only, {_first_values(known.values())}: the model learns nothing else.")
    # Text in alphabetical order, as in run_glue; numbers by size.
    keys = sorted(known, key=lambda key: str(known[key]) if isinstance(known[key], str) else float(known[key]))
    names = tuple(str(key) if isinstance(key, int) else str(known[key]).strip() for key in keys)
    return Labels(kind, names, {key: index for index, key in enumerate(keys)})


def labels_of_checkpoint(config: Any) -> Labels:
    """Return the labels of a trained model, for evaluation without training data: by name or by id."""
    if config.problem_type == REGRESSION or config.num_labels == 1:
        return Labels(REGRESSION, origin="checkpoint")
    return replace(named_labels(checkpoint_names(config), config.problem_type or SINGLE), origin="checkpoint")


def _first_values(values: Iterable[Any]) -> str:
    distinct = list(dict.fromkeys(repr(value) for value in values))
    return ", ".join(distinct[:5]) + (", ..." if len(distinct) > 5 else "")
