"""Metrics of the package `evaluate` as functions of a task's predictions: each gets the inputs that it declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_robust.metrics.metric_names import MetricName, one_line

Array = NDArray[Any]
TWO_CLASSES, CLASSES, LABEL_SET, NUMBER = (
    "one of two classes",
    "one of three or more classes",
    "a set of labels",
    "a number",
)
"""Kinds of tasks, by what a row is labelled with."""


@dataclass
class LoadedMetric:
    """A loaded metric as a function of a task's predictions.

    Attributes:
        inputs: for each input of the metric, how it is made from (predictions, labels, logits).
        names: names of its scores, as they were on made-up rows.
    """

    name: MetricName
    module: Any
    inputs: Mapping[str, Callable[[Array, Array, Array], Array]]
    names: tuple[str, ...] = ()

    def __call__(self, predictions: Array, labels: Array, logits: Array) -> dict[str, float]:
        """Scores by name.

        Raises:
            ValueError: the metric fails on these rows, or a score is no number.
        """
        given = {name: make(predictions, labels, logits) for name, make in self.inputs.items()}
        try:
            result = self.module.compute(**given, **self.name.settings)
        except Exception as error:  # the code of the metric, which is not ours
            raise ValueError(
                f"--metric_name {self.name.text} fails: {one_line(error)} Settings are given as "
                f"{self.name.path}:KEY=VALUE, a configuration as {self.name.path}:CONFIG."
            ) from error
        scores = result if isinstance(result, Mapping) else {self.module.name: result}
        for score, value in scores.items():
            if np.size(value) != 1 or not np.issubdtype(np.asarray(value).dtype, np.number):
                raise ValueError(
                    f"--metric_name {self.name.text} returns {score}, which is no number but {np.size(value)} values "
                    f"({type(value).__name__}): choose settings with which it is one number, or leave it out."
                )
        return {str(score): float(np.asarray(value).item()) for score, value in scores.items()}


def loaded_metric(name: MetricName, module: Any, kind: str) -> LoadedMetric:
    """A module whose inputs are made from the predictions of this kind of task.

    Raises:
        ValueError: the metric reads what such a task does not have.
    """
    forms = module.features if isinstance(module.features, list) else [module.features]
    for features in forms:
        inputs = {column: _SOURCES.get((kind, _role(column), *_form(feature))) for column, feature in features.items()}
        known = {column: source for column, source in inputs.items() if source is not None}
        if len(known) == len(inputs) and any(_role(column) == "predictions" for column in inputs):
            return LoadedMetric(name, module, known)
    wanted = ", ".join(f"{column} ({' of '.join(_form(feature))})" for column, feature in forms[0].items())
    raise ValueError(
        f"--metric_name {name.text} reads {wanted}, which there is not where a row is labelled with {kind}: choose "
        f"another metric, or another configuration by {name.path}:CONFIG."
    )


def _role(column: str) -> str:
    return "predictions" if column in ("predictions", "prediction_scores") else column


def _form(feature: Any) -> tuple[str, str]:
    """Whether a feature is one value or a list, and of what."""
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    dtype = str(getattr(inner, "dtype", type(inner).__name__))
    number = "int" if dtype.startswith(("int", "uint", "bool")) else "float" if dtype.startswith("float") else dtype
    return ("value" if inner is feature else "list"), number


def _predictions(predictions: Array, labels: Array, logits: Array) -> Array:
    return predictions


def _labels(predictions: Array, labels: Array, logits: Array) -> Array:
    return labels


def _whole_labels(predictions: Array, labels: Array, logits: Array) -> Array:
    return labels.astype(np.int64)


def _probabilities(predictions: Array, labels: Array, logits: Array) -> Array:
    from scipy.special import softmax

    return np.asarray(softmax(logits.astype(np.float64), axis=1))


def _second_probability(predictions: Array, labels: Array, logits: Array) -> Array:
    return _probabilities(predictions, labels, logits)[:, 1]


def _probability_of_each(predictions: Array, labels: Array, logits: Array) -> Array:
    from scipy.special import expit

    return np.asarray(expit(logits.astype(np.float64)))


_SOURCES: dict[tuple[str, str, str, str], Callable[[Array, Array, Array], Array]] = {
    (TWO_CLASSES, "predictions", "value", "int"): _predictions,
    (TWO_CLASSES, "predictions", "value", "float"): _second_probability,
    (TWO_CLASSES, "predictions", "list", "float"): _probabilities,
    (TWO_CLASSES, "references", "value", "int"): _labels,
    (TWO_CLASSES, "references", "value", "float"): _labels,
    (CLASSES, "predictions", "value", "int"): _predictions,
    (CLASSES, "predictions", "list", "float"): _probabilities,
    (CLASSES, "references", "value", "int"): _labels,
    (CLASSES, "references", "value", "float"): _labels,
    (LABEL_SET, "predictions", "list", "int"): _predictions,
    (LABEL_SET, "predictions", "list", "float"): _probability_of_each,
    (LABEL_SET, "references", "list", "int"): _whole_labels,
    (LABEL_SET, "references", "list", "float"): _labels,
    (NUMBER, "predictions", "value", "float"): _predictions,
    (NUMBER, "references", "value", "float"): _labels,
}
"""What an input is made from, by kind of task, input, and form of its feature."""


def made_up_rows(kind: str, num_labels: int) -> tuple[Array, Array]:
    """Logits and labels of a task of this kind, some of them wrong, on which a metric is tried before training."""
    count = max(12, 4 * num_labels)
    rows, columns = np.arange(count)[:, None], np.arange(num_labels)
    if kind == NUMBER:
        return rows + 0.5 * (rows % 3), rows[:, 0].astype(np.float64)
    guesses = rows + (rows % 5 == 4)  # every fifth row is wrong
    if kind == LABEL_SET:
        return np.where((guesses + columns) % 2, 2.0, -1.0), ((rows + columns) % 2).astype(np.float64)
    return np.where(guesses % num_labels == columns, 2.0, -0.1 * columns), rows[:, 0] % num_labels
