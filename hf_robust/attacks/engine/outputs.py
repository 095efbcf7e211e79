"""Reads what a function of texts returned: a score for each class (probabilities or logits), or labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hf_robust.attacks.engine.requests import Floats

Outputs = Literal["probabilities", "logits", "labels"]
_LABELS = (str, bool, int, np.bool_, np.integer)
"""Types of one label."""
ROUNDING = 0.01
"""The sum of a row of probabilities may differ from 1 by this much: endpoints round their answers."""
_NEEDED = "an attack needs one score for each class of each text, [texts, classes], or each text's label"


def read_answer(answer: Any, count: int, name: str) -> NDArray[Any]:
    """Return the scores [count, K] of an answer in float64, or its labels [count]: whole numbers or names.

    Args:
        answer: an array, a tensor, nested lists, or an object with ``logits``.
        count: number of texts that were asked.
        name: the victim, for errors.

    Raises:
        ValueError: the answer holds one number with a fraction for each text, another number of rows, or a value that
            is not finite.
    """
    answer = getattr(answer, "logits", answer)
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().to("cpu", torch.float64 if answer.is_floating_point() else None)
    try:
        values = np.asarray(answer)
    except ValueError as error:
        raise ValueError(f"{name} returned rows of different lengths; {_NEEDED}.") from error
    if values.ndim == 1 and len(values) == count and all(isinstance(value, _LABELS) for value in values):
        return values
    if values.ndim == 1 and len(values) == count and np.issubdtype(values.dtype, np.floating):
        raise ValueError(
            f"{name} returned one number for each text; {_NEEDED}: of two classes return [1 - p, p] for each text."
        )
    if values.ndim != 2 or len(values) != count or values.shape[1] < 2 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} returned {_kind(values)} of shape {list(values.shape)} for {count} texts; {_NEEDED}, as numbers."
        )
    rows = values.astype(np.float64)
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} returned scores that are not finite (nan or inf), so it cannot be attacked.")
    return rows


def rows_of_labels(labels: NDArray[Any], class_names: Sequence[str], count: int | None, name: str) -> Floats:
    """Return 1 for each text's label and 0 for the other classes, [n, K] in float64.

    A label that is a class's name is this class, else a whole number is the number of a class. If the classes are
    named by numbers, a label is always a name.

    Args:
        class_names: names of the classes by id; empty if they have none.
        count: K; None for the number of names.
        name: the victim, for errors.

    Raises:
        ValueError: a label is none of the classes, or the classes are unknown.
    """
    ids = {key: index for index, key in enumerate(class_names)}
    classes = len(class_names) or count or 0
    numbered = bool(ids) and all(key.isdecimal() for key in ids)
    rows = np.zeros((len(labels), classes))
    for row, label in zip(rows, labels, strict=True):
        known = ids.get(str(label), -1 if numbered or isinstance(label, str) else int(label))
        if not 0 <= known < classes:
            what = f"its classes are {', '.join(class_names)}" if ids else f"it has {classes} classes"
            what = what if classes else "its classes are unknown"
            raise ValueError(
                f"{name} returned the label {label!s}, and {what}: give the names of all its classes by --class_names."
            )
        row[known] = 1.0
    return rows


def kind_of(rows: Floats, name: str) -> Outputs:
    """Tell whether rows [n, K] are probabilities (in [0, 1], of sum 1) or logits.

    Raises:
        ValueError: they are numbers in [0, 1] of another sum, as of several labels for each text.
    """
    if (rows < 0).any() or (rows > 1).any():
        return "logits"
    if sum_to_one(rows).all():
        return "probabilities"
    raise ValueError(
        f"{name} returned numbers in [0, 1] whose sum is not 1, such as {_shown(rows[~sum_to_one(rows)][0])}: if each "
        'text has one class, return its probabilities, or say outputs="logits" if these are logits.'
    )


def sum_to_one(rows: Floats) -> Any:
    """Whether each row of numbers sums to 1 up to ROUNDING; boolean [n]."""
    return np.abs(rows.sum(-1) - 1) <= ROUNDING


def probabilities_and_logits(rows: Floats, outputs: Outputs, name: str) -> tuple[Floats, Floats]:
    r"""Return probabilities and logits, both [n, K] in float32.

    Logits become probabilities by a softmax in float32 on the CPU, as those of ``Victim`` do. Probabilities become
    logits by :math:`\log p`: logits up to a constant of each text, on which no margin depends.

    Raises:
        ValueError: ``outputs`` are probabilities, and a row is none.
    """
    if outputs == "logits":
        logits = torch.from_numpy(rows.astype(np.float32))
        return logits.softmax(-1).numpy(), logits.numpy()
    wrong = (rows < 0).any(-1) | (rows > 1).any(-1) | ~sum_to_one(rows)
    if wrong.any():
        raise ValueError(
            f"{name} returned probabilities at first, and later {_shown(rows[wrong][0])}, which are none: return the "
            'same kind for every text, or say outputs="logits".'
        )
    return rows.astype(np.float32), np.log(np.maximum(rows, np.finfo(np.float32).tiny)).astype(np.float32)


def _kind(values: Any) -> str:
    return {"f": "numbers", "i": "integers", "u": "integers", "O": "objects", "U": "texts"}.get(
        values.dtype.kind, str(values.dtype)
    )


def _shown(row: Floats) -> str:
    return "[" + ", ".join(f"{value:.3g}" for value in row[:4]) + (", ...]" if len(row) > 4 else "]")
