"""What the labels mean: which classes there are, in which order the model numbers them, and what they are called.

Ids are a convention that checkpoints do not share, so everything goes by name: the data's names, and the checkpoint's
order of them where it has the same names. Named labels are always written to the configuration.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

logger = logging.getLogger(__name__)

SINGLE = "single_label_classification"
MULTI = "multi_label_classification"
REGRESSION = "regression"
UNLABELLED = -1  # GLUE's test sets and SNLI's rows without agreement
GENERIC = re.compile(r"LABEL_\d+")


@dataclass(frozen=True)
class Labels:
    """Kind of task, names of the classes in id order, and the id of every raw value (a name, an int, a bool)."""

    problem_type: str
    names: tuple[str, ...] = ()
    ids: Mapping[Any, int] = field(default_factory=dict)

    @property
    def is_regression(self) -> bool:
        return self.problem_type == REGRESSION

    @property
    def is_single(self) -> bool:
        """One class for each row: what robust methods and attacks need."""
        return self.problem_type == SINGLE

    @property
    def num_labels(self) -> int:
        return 1 if self.is_regression else len(self.names)

    def knows(self, raw: Any) -> bool:
        """Whether a raw value is a label of this task."""
        if self.is_regression:
            return isinstance(raw, (int, float)) and raw == raw
        if self.problem_type == MULTI:
            return isinstance(raw, (list, tuple)) and all(_key(value) in self.ids for value in raw)
        return not isinstance(raw, (list, dict)) and _key(raw) in self.ids

    def encode(self, raw: Any) -> int | float | list[float]:
        """Class id, score, or one 0/1 float for each class."""
        if self.is_regression:
            return float(raw)
        if self.problem_type == MULTI:
            present = {self.ids[_key(value)] for value in raw}
            return [float(index in present) for index in range(self.num_labels)]
        return self.ids[_key(raw)]

    def in_checkpoint_order(self, config: Any) -> "Labels":
        """The same labels, numbered as a checkpoint numbers them where it has the same names (whatever their case)."""
        if self.is_regression or not _is_named(config):
            return self
        theirs = {str(name).lower(): int(index) for name, index in config.label2id.items()}
        ours = [name.lower() for name in self.names]
        if sorted(theirs) != sorted(ours) or sorted(theirs.values()) != list(range(len(ours))):
            logger.warning(
                "The model was trained with labels that are not those of the data, so they are ignored: "
                f"{sorted(theirs)} in the model, {sorted(ours)} in the data."
            )
            return self
        moved = [theirs[name] for name in ours]
        names = tuple(name for _, name in sorted(zip(moved, self.names, strict=True)))
        return replace(self, names=names, ids={raw: moved[index] for raw, index in self.ids.items()})

    def write_to(self, config: Any) -> None:
        """Set number, names and kind on a configuration; BART, for one, would lose default names on reload."""
        names = ("score",) if self.is_regression else self.names
        config.id2label = dict(enumerate(names))
        config.label2id = {name: index for index, name in enumerate(names)}
        config.problem_type = self.problem_type


def _key(raw: Any) -> Any:
    # Names are compared without case; True == 1 in Python, so bools and floats get keys of their own.
    if isinstance(raw, str):
        return raw
    return raw if type(raw) is int else str(raw)


def _is_named(config: Any) -> bool:
    return not all(GENERIC.fullmatch(str(name)) for name in config.label2id)


def named_labels(names: Sequence[str], kind: str = SINGLE) -> Labels:
    """Labels of data that give ids (ints) or the names themselves.

    Raises:
        ValueError: two classes have one name.
    """
    if len(set(names)) != len(names):
        raise ValueError(f"class names must differ, got {list(names)}.")
    ids: dict[Any, int] = {name: index for index, name in enumerate(names)}
    return Labels(kind, tuple(names), {**ids, **{index: index for index in range(len(names))}})


def observed_labels(values: Iterable[Any], where: str, do_regression: bool | None = None) -> Labels:
    """Labels of unnamed data: floats are a regression, lists are multi-label, else the sorted distinct values.

    Raises:
        ValueError: a value is missing, kinds are mixed, or only one class is left once -1 (unlabelled) is dropped.
    """
    values = list(values)
    if any(value is None or value != value for value in values):
        row = next(index for index, value in enumerate(values) if value is None or value != value)
        raise ValueError(f"row {row} of {where} has no label: fill it in or remove the row.")
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if do_regression or (do_regression is None and numbers and any(isinstance(value, float) for value in values)):
        if not numbers:
            raise ValueError(f"a regression needs numbers as labels, and {where} has {_some(values)}.")
        return Labels(REGRESSION)
    kind = MULTI if any(isinstance(value, (list, tuple)) for value in values) else SINGLE
    if kind == MULTI and not all(isinstance(value, (list, tuple)) for value in values):
        raise ValueError(f"{where} mixes lists of labels and single labels: make every label a list.")
    classes = {one for value in values for one in value} if kind == MULTI else set(values)
    return _distinct(classes, kind, where)


def _distinct(classes: set[Any], kind: str, where: str) -> Labels:
    if len({type(value) for value in classes}) > 1 and not all(isinstance(value, (int, float)) for value in classes):
        raise ValueError(f"{where} mixes kinds of labels, {_some(classes)}: write all as text or all as integers.")
    known = sorted(value for value in classes if _is_label(value))
    if len(known) < len(classes) and len(known) < 2:
        raise ValueError(
            f"the labels of {where} are {sorted(classes)}, and -1 means unlabelled, which leaves {len(known)}: "
            "number the classes from 0 or write names."
        )
    if not known:
        raise ValueError(f"{where} names no class: every row's list of labels is empty.")
    if len(known) == 1:
        logger.warning(f"{where} has one class only, {known[0]!r}: the model can learn nothing else.")
    names = tuple(str(value) for value in known)
    return Labels(kind, names, {_key(value): index for index, value in enumerate(known)})


def labels_of_checkpoint(config: Any) -> Labels:
    """Labels that a trained model has, for evaluation without training data: by name or by id."""
    if config.problem_type == REGRESSION or config.num_labels == 1:
        return Labels(REGRESSION)
    names = tuple(str(config.id2label[index]) for index in range(config.num_labels))
    kind = config.problem_type or SINGLE
    if all(name.isdecimal() for name in names):  # trained on integers that need not start at 0
        ids = {name: index for index, name in enumerate(names)}
        return Labels(kind, names, {**ids, **{int(name): index for name, index in ids.items()}})
    return named_labels(names, kind)


def _is_label(value: Any) -> bool:
    return isinstance(value, (str, bool)) or value != UNLABELLED


def _some(values: Iterable[Any]) -> str:
    distinct = list(dict.fromkeys(repr(value) for value in values))
    return ", ".join(distinct[:5]) + (", ..." if len(distinct) > 5 else "")
