"""Robust accuracy: the share of all texts that are classified correctly before and after the attack."""

from __future__ import annotations

from typing import Any

import evaluate

from hf_robust.metrics.evaluate_modules.inputs import INPUTS, LICENSE, attacked_rows, input_features, rate

DESCRIPTION = """
Robust accuracy, also called accuracy under attack: F / N, the share of all N texts that the model classifies correctly
before and after the attack. Higher is better for the model. An obstinate attack, which changes the meaning of the
text, has no robust accuracy.
"""
INPUTS_DESCRIPTION = f"""{INPUTS}
Returns:
    robust_accuracy: a rate in [0, 1]; nan without texts.
    robust_accuracy_low, robust_accuracy_high: its 95 % Wilson interval.
    num_examples: N.
Examples:
    >>> import evaluate
    >>> from hf_robust.metrics.evaluate_modules import EVALUATE_MODULES
    >>> metric = evaluate.load(EVALUATE_MODULES["robust_accuracy"])
    >>> scores = metric.compute(predictions=[1, 1, 0, 0], references=[0, 1, 1, 0], clean_predictions=[0, 1, 0, 0])
    >>> scores["robust_accuracy"], scores["num_examples"]
    (0.5, 4)
"""
CITATION = """
@inproceedings{jin2020textfooler,
    title = {Is {BERT} Really Robust? A Strong Baseline for Natural Language Attack on Text Classification and Entailment},
    author = {Jin, Di and Jin, Zhijing and Zhou, Joey Tianyi and Szolovits, Peter},
    booktitle = {Proceedings of the {AAAI} Conference on Artificial Intelligence},
    volume = {34},
    number = {5},
    year = {2020},
    pages = {8018--8025},
    doi = {10.1609/aaai.v34i05.6311},
}
"""  # noqa: E501


class RobustAccuracy(evaluate.Metric):
    """F / N over all texts."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS_DESCRIPTION,
            features=input_features(self.config_name),
            license=LICENSE,
            reference_urls=["https://arxiv.org/abs/1907.11932"],
        )

    def _compute(
        self, predictions: list[int], references: list[int], clean_predictions: list[int] | None = None
    ) -> dict[str, float]:
        attacked = attacked_rows(references, clean_predictions)
        robust = [was and guess == label for guess, label, was in zip(predictions, references, attacked, strict=True)]
        return {**rate("robust_accuracy", sum(robust), len(robust)), "num_examples": len(robust)}
