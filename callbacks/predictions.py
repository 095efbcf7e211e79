"""What an evaluation's predictions say: its accuracy, and whether the model guesses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers.trainer_utils import EvalLoopOutput

from hf_robust.metrics import AttackSummary, ClassCounts, Guessing
from hf_robust.metrics.task import accuracy, logits_of, predicted


def accuracy_of(output: EvalLoopOutput, summaries: Mapping[str, AttackSummary]) -> float:
    """Accuracy of an evaluation: the task's metric, else that of its predictions, else that of the attacked rows."""
    if output.metrics is not None and "eval_accuracy" in output.metrics:
        return float(output.metrics["eval_accuracy"])
    if output.predictions is None or output.label_ids is None:
        return next((summary.extra["accuracy"] for summary in summaries.values()), math.nan)
    labels, predictions = _labels_and_predictions(output)
    return accuracy(predictions, labels)


def guessing_of_evaluation(
    output: EvalLoopOutput, accuracy: float, num_labels: int, attacked: Sequence[tuple[int, int]] = ()
) -> Guessing:
    """The accuracy of an evaluation compared with its largest class; without a mark if that cannot be judged.

    Args:
        accuracy: of the measured classifier, which is not that of the evaluation if the classifier is a vote.
        num_labels: number of classes of the model.
        attacked: label and prediction of the attacked texts, used if the evaluation kept no predictions.
    """
    if output.predictions is None or output.label_ids is None:
        return Guessing.of([label for label, _ in attacked], [predicted for _, predicted in attacked], num_labels)
    labels, predictions = _labels_and_predictions(output)
    if not _are_classes(labels, predictions):
        return Guessing(math.nan, None, math.nan, num_labels)
    plain = Guessing.of(labels.tolist(), predictions.tolist(), num_labels)
    one_answer = plain.one_answer and accuracy == plain.accuracy
    return dataclasses.replace(plain, accuracy=accuracy, one_answer=one_answer)


def class_counts(output: EvalLoopOutput, num_labels: int) -> ClassCounts | None:
    """Counts of each class over the rows of an evaluation.

    None if it kept no predictions, if rows have several labels or numbers, or if a vote was measured, whose
    predictions are not those of the evaluation.
    """
    if output.predictions is None or output.label_ids is None or "eval_vote_accuracy" in (output.metrics or {}):
        return None
    labels, predictions = _labels_and_predictions(output)
    if not _are_classes(labels, predictions):
        return None
    return ClassCounts.of(labels.tolist(), predictions.tolist(), num_labels)


def _are_classes(labels: NDArray[Any], predictions: NDArray[Any]) -> bool:
    return labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer) and predictions.shape == labels.shape


def _labels_and_predictions(output: EvalLoopOutput) -> tuple[NDArray[Any], NDArray[Any]]:
    # With --eval_do_concat_batches False both are lists of batches.
    logits = logits_of(output.predictions)
    labels = np.concatenate(output.label_ids) if isinstance(output.label_ids, list) else np.asarray(output.label_ids)
    if labels.ndim > 1:
        return labels, predicted(logits, is_regression=False, is_multi_label=True)
    # A stock Trainer's preprocess_logits_for_metrics may have taken the argmax already.
    return labels, logits if logits.ndim == 1 else logits.argmax(-1)
