"""Worst case over several attacks: a text is robust if every attack failed on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from hf_robust.metrics.evaluate_modules.inputs import LICENSE, attacked_rows, input_features, rate

DESCRIPTION = """
Worst case over several attacks on the same texts. A text is robust if it is classified correctly before the attacks
and after each of them. The worst-case robust accuracy is the share of robust texts among all N texts, and the
worst-case attack success rate is the share of the texts classified correctly before on which at least one attack
succeeded. Only for attacks that succeed if the prediction changes.
"""
INPUTS_DESCRIPTION = """
Args:
    predictions (list of list of int): for each text, its predicted class after each attack.
    references (list of int): true class of each text.
    clean_predictions (list of int): predicted class of each text before the attacks.
        The configuration "evaluator" has one prediction for each attacked text, and no clean_predictions. There, each
        of references is [number of the original text, true class], with the class -100 for a text that was
        misclassified before the attacks.
Returns:
    worst_case_robust_accuracy, worst_case_attack_success_rate: rates in [0, 1]; nan if there is no text for them.
    worst_case_robust_accuracy_low and so on: their 95 % Wilson intervals.
    num_examples, num_attacked: number of texts, and of those classified correctly before.
Examples:
    >>> import evaluate
    >>> from hf_robust.metrics.evaluate_modules import EVALUATE_MODULES
    >>> metric = evaluate.load(EVALUATE_MODULES["worst_case"])
    >>> scores = metric.compute(
    ...     predictions=[[1, 0], [1, 1], [0, 0], [0, 1]], references=[0, 1, 1, 0], clean_predictions=[0, 1, 0, 0]
    ... )
    >>> scores["worst_case_robust_accuracy"], round(scores["worst_case_attack_success_rate"], 4)
    (0.25, 0.6667)
"""
CITATION = """
@inproceedings{croce2020autoattack,
    title = {Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-Free Attacks},
    author = {Croce, Francesco and Hein, Matthias},
    booktitle = {Proceedings of the 37th International Conference on Machine Learning},
    year = {2020},
    pages = {2206--2216},
}
"""


class WorstCase(evaluate.Metric):
    """Robust accuracy and attack success rate of the union of several attacks."""

    def _info(self) -> Any:
        number = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS_DESCRIPTION,
            features=input_features(self.config_name, datasets.Sequence(number), datasets.Sequence(number, length=2)),
            license=LICENSE,
            reference_urls=["https://arxiv.org/abs/2003.01690"],
        )

    def _compute(
        self, predictions: Any, references: Any, clean_predictions: list[int] | None = None
    ) -> dict[str, float]:
        if clean_predictions is None:
            predictions, references = grouped(predictions, references)
        if not all(predictions):
            raise ValueError("each text needs the prediction after at least one attack, and one has none.")
        attacked = attacked_rows(references, clean_predictions)
        robust = [
            was and all(guess == label for guess in guesses)
            for guesses, label, was in zip(predictions, references, attacked, strict=True)
        ]
        return {
            **rate("worst_case_robust_accuracy", sum(robust), len(robust)),
            **rate("worst_case_attack_success_rate", sum(attacked) - sum(robust), sum(attacked)),
            "num_examples": len(robust),
            "num_attacked": sum(attacked),
        }


def grouped(predictions: Sequence[int], references: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[int]]:
    """Predictions by original text, and the label of each text.

    Raises:
        ValueError: attacked texts of one original text have different labels.
    """
    guesses: dict[int, list[int]] = {}
    labels: dict[int, int] = {}
    for guess, (text, label) in zip(predictions, references, strict=True):
        if labels.setdefault(text, label) != label:
            raise ValueError(f"text {text} has the labels {labels[text]} and {label}: it needs one label.")
        guesses.setdefault(text, []).append(guess)
    return list(guesses.values()), list(labels.values())
