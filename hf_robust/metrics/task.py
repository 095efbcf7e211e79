"""Metrics of the tasks of GLUE and of local data, on scikit-learn and scipy, without a download.

They equal the hub's ``glue`` metric: Matthews correlation for CoLA, accuracy and F1 for MRPC and QQP, Pearson and
Spearman correlation for STS-B, accuracy otherwise. Local data get accuracy, mean squared error or (multi-label)
micro-F1. With more than one metric, ``combined_score`` is their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_robust.metrics.permutation import Counts, LabelPermutation, confusion, label_permutation

Array = NDArray[Any]
Metric = Callable[[Array, Array], float]  # (predictions, labels) -> score


def accuracy(predictions: Array, labels: Array) -> float:
    """Share of correct rows; with several labels per row, all of them must be correct."""
    correct = predictions == labels
    return float((correct.all(axis=1) if correct.ndim > 1 else correct).mean())


def matthews_correlation(predictions: Array, labels: Array) -> float:
    """Matthews correlation, in [-1, 1]."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predictions))


def f1(average: str, positive: int = 1) -> Metric:
    """F1 of class ``positive`` (average ``binary``), or averaged over classes (``macro``, ``micro``, ``weighted``)."""

    def score(predictions: Array, labels: Array) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(labels, predictions, average=average, pos_label=positive, zero_division=0.0))

    return score


def pearson(predictions: Array, labels: Array) -> float:
    """Pearson correlation; NaN if either side is constant."""
    from scipy.stats import pearsonr

    return float(pearsonr(predictions, labels)[0]) if len(labels) > 1 else float("nan")


def spearmanr(predictions: Array, labels: Array) -> float:
    """Spearman rank correlation; NaN if either side is constant."""
    from scipy.stats import spearmanr as rank_correlation

    return float(rank_correlation(predictions, labels)[0]) if len(labels) > 1 else float("nan")


def mse(predictions: Array, labels: Array) -> float:
    """Mean squared error."""
    return float(((predictions - labels) ** 2).mean())


def mae(predictions: Array, labels: Array) -> float:
    """Mean absolute error."""
    return float(np.abs(predictions - labels).mean())


CLASSIFICATION: dict[str, Metric] = {
    "accuracy": accuracy,
    "f1": f1("binary"),
    "f1_macro": f1("macro"),
    "f1_micro": f1("micro"),
    "f1_weighted": f1("weighted"),
    "matthews_correlation": matthews_correlation,
}
MULTI_LABEL: dict[str, Metric] = {
    "accuracy": accuracy,
    "f1": f1("micro"),
    "f1_macro": f1("macro"),
    "f1_micro": f1("micro"),
    "f1_weighted": f1("weighted"),
}
REGRESSION: dict[str, Metric] = {"mse": mse, "mae": mae, "pearson": pearson, "spearmanr": spearmanr}
MEAN = "combined_score"
TASK_METRICS: dict[str, tuple[str, ...]] = {
    "cola": ("matthews_correlation",),
    "mrpc": ("accuracy", "f1"),
    "qqp": ("accuracy", "f1"),
    "stsb": ("pearson", "spearmanr"),
}


def possible_metrics(task: str | None, metric_name: str | None = None) -> tuple[str, ...]:
    """Names of metrics that ``glue_metrics`` may return; exact for a GLUE task, else before the data are known."""
    if metric_name is not None:
        return (metric_name,)
    if task is not None:
        return with_mean(TASK_METRICS.get(task, ("accuracy",)))
    return tuple(dict.fromkeys([*CLASSIFICATION, *MULTI_LABEL, *REGRESSION]))


@dataclass
class TaskMetrics:
    """``compute_metrics`` of a Trainer: the scores by name, and their mean if there are several.

    The predictions of the ``EvalPrediction`` are logits [rows, classes], a tuple that begins with them, or a list of
    batches of either (``--eval_do_concat_batches False``).

    Attributes:
        counts: confusion matrix of the last evaluation (`confusion`); None before the first evaluation, and for
            regression and multi-label tasks.
    """

    metrics: Mapping[str, Metric]
    is_regression: bool = False
    is_multi_label: bool = False
    num_labels: int = 2
    counts: Counts | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the returned scores."""
        return with_mean(tuple(self.metrics))

    def __call__(self, evaluated: Any) -> dict[str, float]:
        logits, labels = logits_of(evaluated.predictions), _joined(evaluated.label_ids)
        predictions = predicted(logits, self.is_regression, self.is_multi_label)
        if not (self.is_regression or self.is_multi_label):
            self.counts = confusion(labels, predictions, max(self.num_labels, logits.shape[1]))
        scores = {name: metric(predictions, labels) for name, metric in self.metrics.items()}
        if len(scores) > 1:
            scores[MEAN] = float(np.mean(list(scores.values())))
        return scores

    def permutation(self) -> LabelPermutation | None:
        """Another order of the labels that fits the last evaluation significantly better; None if there is none."""
        return None if self.counts is None else label_permutation(self.counts)


def with_mean(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the scores, with the name of their mean if there are several."""
    return (*names, MEAN) if len(names) > 1 else tuple(names)


def glue_metrics(
    task: str | None,
    is_regression: bool,
    *,
    is_multi_label: bool = False,
    metric_name: str | None = None,
    positive: int = 1,
    num_labels: int = 2,
) -> TaskMetrics:
    """``compute_metrics`` of a Trainer for a GLUE task, or for other data if ``task`` is None.

    Args:
        metric_name: metric to use instead of the default.
        positive: class id of the positive class for binary F1, for models with another label order than GLUE.
        num_labels: number of classes.

    Raises:
        ValueError: ``metric_name`` does not fit this kind of task or this number of classes.
    """
    table = REGRESSION if is_regression else MULTI_LABEL if is_multi_label else CLASSIFICATION
    names = (metric_name,) if metric_name is not None else TASK_METRICS.get(task or "", (next(iter(table)),))
    if is_multi_label and metric_name is None:
        names = ("f1",)
    unknown = [name for name in names if name not in table]
    if unknown:
        raise ValueError(
            f"--metric_name {unknown[0]} does not fit this kind of task; choose one of {', '.join(table)}."
        )
    metrics: dict[str, Metric] = {name: table[name] for name in names}
    if "f1" in metrics and not is_multi_label and num_labels != 2:
        raise ValueError(
            f"--metric_name f1 needs two classes, and there are {num_labels}; use f1_macro, f1_micro or f1_weighted."
        )
    if "f1" in metrics and not is_multi_label:
        metrics["f1"] = f1("binary", positive)
    return TaskMetrics(metrics, is_regression, is_multi_label, num_labels)


def predicted(logits: Array, is_regression: bool, is_multi_label: bool = False) -> Array:
    """Predictions from logits: values [rows], class ids [rows], or for multi-label 0/1 by class [rows, classes]."""
    if is_regression:
        return logits.reshape(-1)
    if is_multi_label:
        return (logits > 0).astype(np.int64)
    ids: Array = logits.argmax(axis=1)
    return ids


def logits_of(predictions: Any) -> Array:
    """Logits in the output of a model: the first entry of a tuple, the concatenated batches of a list."""
    if isinstance(predictions, list):
        return np.concatenate([logits_of(batch) for batch in predictions])
    if isinstance(predictions, tuple):
        return logits_of(predictions[0])
    if isinstance(predictions, Mapping):
        return logits_of(predictions.get("logits", next(iter(predictions.values()))))
    return np.asarray(predictions)


def _joined(label_ids: Any) -> Array:
    if isinstance(label_ids, list):
        return np.concatenate([_joined(batch) for batch in label_ids])
    return np.asarray(label_ids[0] if isinstance(label_ids, tuple) else label_ids)
