"""Metrics of the tasks of GLUE and of local data, on scikit-learn and scipy, without a download.

They equal the hub's ``glue`` metric: Matthews correlation for CoLA, accuracy and F1 for MRPC and QQP, Pearson and
Spearman correlation for STS-B, accuracy otherwise. Local data get accuracy, mean squared error, or for several labels
accuracy (all labels of a row correct), micro-F1 and macro-F1. With more than one metric of a GLUE task,
``combined_score`` is their mean. ``--metric_name`` chooses others, from the tables here or from those that the package
`evaluate` loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_robust.metrics.keys import EVALUATION_KEYS
from hf_robust.metrics.loaded import (
    CLASSES,
    LABEL_SET,
    NUMBER,
    TWO_CLASSES,
    LoadedMetric,
    loaded_metric,
    made_up_rows,
)
from hf_robust.metrics.metric_names import load_module, read_name
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
SEVERAL_LABELS = ("accuracy", "f1", "f1_macro")
"""Metrics of rows with several labels; ``f1`` is micro-F1, as in run_classification."""
MEAN = "combined_score"
TASK_METRICS: dict[str, tuple[str, ...]] = {
    "cola": ("matthews_correlation",),
    "mrpc": ("accuracy", "f1"),
    "qqp": ("accuracy", "f1"),
    "stsb": ("pearson", "spearmanr"),
}


BUILT_IN = tuple(dict.fromkeys([*CLASSIFICATION, *MULTI_LABEL, *REGRESSION]))
"""Names of all metrics that need no loading."""


def possible_metrics(task: str | None, metric_names: Sequence[str] | None = None) -> tuple[str, ...] | None:
    """Names of metrics that ``glue_metrics`` may return; exact for a GLUE task, else before the data are known.

    None if a metric has to be loaded, since only its result names its scores.
    """
    if metric_names:
        return tuple(metric_names) if set(metric_names) <= set(BUILT_IN) else None
    return BUILT_IN if task is None else with_mean(TASK_METRICS.get(task, ("accuracy",)))


def check_metric_names(names: Iterable[str], trusted: bool = False) -> None:
    """Load the metrics that are not built in, to see before the data are read that there are such metrics.

    Raises:
        ValueError: there is no such metric, or it cannot be loaded.
    """
    for name in names:
        if name not in BUILT_IN:
            load_module(read_name(name), BUILT_IN, trusted=trusted)


@dataclass
class TaskMetrics:
    """``compute_metrics`` of a Trainer: the scores by name, and for a task with several its mean.

    The predictions of the ``EvalPrediction`` are logits [rows, classes], a tuple that begins with them, or a list of
    batches of either (``--eval_do_concat_batches False``).

    Attributes:
        metrics: built-in metrics by name.
        loaded: metrics of the package `evaluate`.
        averaged: whether the mean of several scores is added. It is for the metrics of a GLUE task; of metrics that a
            user chose, it need not mean anything.
        positive: class id of the positive class, which loaded metrics of two classes see as class 1.
        counts: confusion matrix of the last evaluation (`confusion`); None before the first evaluation, and for
            regression and multi-label tasks.
    """

    metrics: Mapping[str, Metric]
    is_regression: bool = False
    is_multi_label: bool = False
    num_labels: int = 2
    loaded: Sequence[LoadedMetric] = ()
    averaged: bool = True
    positive: int = 1
    counts: Counts | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the returned scores."""
        names = (*self.metrics, *(name for metric in self.loaded for name in metric.names))
        return with_mean(names) if self.averaged else names

    def __call__(self, evaluated: Any) -> dict[str, float]:
        logits, labels = logits_of(evaluated.predictions), _joined(evaluated.label_ids)
        predictions = predicted(logits, self.is_regression, self.is_multi_label)
        if not (self.is_regression or self.is_multi_label):
            self.counts = confusion(labels, predictions, max(self.num_labels, logits.shape[1]))
        scores = {name: metric(predictions, labels) for name, metric in self.metrics.items()}
        for metric in self.loaded:
            scores |= self._score(metric, predictions, labels, logits)
        if self.averaged and len(scores) > 1:
            scores[MEAN] = float(np.mean(list(scores.values())))
        return scores

    def load(self, names: Iterable[str], trusted: bool) -> None:
        """Load metrics, and try each on made-up rows, so that one that does not fit is found before training.

        Raises:
            ValueError: a metric cannot be loaded, does not fit this kind of task, or returns a score that another has.
        """
        config = "multilabel" if self.is_multi_label else None
        logits, labels = made_up_rows(self.kind, self.num_labels)
        predictions = predicted(logits, self.is_regression, self.is_multi_label)
        sources = dict.fromkeys(EVALUATION_KEYS, "the evaluation itself") | {name: name for name in self.metrics}
        for text in names:
            name = read_name(text)
            metric = loaded_metric(name, load_module(name, BUILT_IN, config=config, trusted=trusted), self.kind)
            metric.names = tuple(self._score(metric, predictions, labels, logits))
            for score in metric.names:
                if score in sources:
                    raise ValueError(f"--metric_name {text} and {sources[score]} both return {score}: leave one out.")
                sources[score] = text
            self.loaded = (*self.loaded, metric)

    @property
    def kind(self) -> str:
        """The kind of the task, by which a loaded metric gets its inputs."""
        if self.is_regression:
            return NUMBER
        return LABEL_SET if self.is_multi_label else TWO_CLASSES if self.num_labels == 2 else CLASSES

    def _score(self, metric: LoadedMetric, predictions: Array, labels: Array, logits: Array) -> dict[str, float]:
        if self.kind == TWO_CLASSES and self.positive == 0:
            return metric(1 - predictions, 1 - labels, logits[:, ::-1])
        return metric(predictions, labels, logits)

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
    metric_names: Sequence[str] | None = None,
    positive: int = 1,
    num_labels: int = 2,
    trusted: bool = False,
) -> TaskMetrics:
    """``compute_metrics`` of a Trainer for a GLUE task, or for other data if ``task`` is None.

    Args:
        metric_names: metrics to use instead of the default: built-in ones, or what ``evaluate.load`` takes.
        positive: class id of the positive class for binary F1, for models with another label order than GLUE.
        num_labels: number of classes.
        trusted: whether code from the Hub that is not Hugging Face's may run.

    Raises:
        ValueError: a metric cannot be loaded, or does not fit this kind of task or this number of classes.
    """
    table = REGRESSION if is_regression else MULTI_LABEL if is_multi_label else CLASSIFICATION
    default = SEVERAL_LABELS if is_multi_label else TASK_METRICS.get(task or "", (next(iter(table)),))
    names = metric_names or default
    unfit = [name for name in names if name in BUILT_IN and name not in table]
    if unfit:
        raise ValueError(f"--metric_name {unfit[0]} does not fit this kind of task; choose one of {', '.join(table)}.")
    metrics: dict[str, Metric] = {name: table[name] for name in names if name in table}
    if "f1" in metrics and not is_multi_label and num_labels != 2:
        raise ValueError(
            f"--metric_name f1 needs two classes, and there are {num_labels}; use f1_macro, f1_micro or f1_weighted."
        )
    if "f1" in metrics and not is_multi_label:
        metrics["f1"] = f1("binary", positive)
    computed = TaskMetrics(
        metrics,
        is_regression,
        is_multi_label,
        num_labels,
        averaged=not (metric_names or is_multi_label),
        positive=positive,
    )
    computed.load((name for name in names if name not in table), trusted)
    return computed


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
