"""Attack success rate: the share of the attacked texts on which the attack succeeded."""

from __future__ import annotations

from typing import Any

import evaluate

from hf_robust.metrics.evaluate_modules.inputs import INPUTS, LICENSE, attacked_rows, input_features, rate

DESCRIPTION = """
Attack success rate: S / (S + F), where S attacks succeeded and F failed. Only texts that the model classified
correctly before the attack count. An attack succeeds if the prediction changes; an obstinate attack, which changes the
meaning of the text, succeeds if the prediction stays. Lower is better for the model.
"""
INPUTS_DESCRIPTION = f"""{INPUTS}
    obstinate (bool): whether the attack succeeds if the prediction stays. Default: False.
Returns:
    attack_success_rate: a rate in [0, 1]; nan if no text was attacked.
    attack_success_rate_low, attack_success_rate_high: its 95 % Wilson interval.
    num_attacked: S + F.
Examples:
    >>> import evaluate
    >>> from hf_robust.metrics.evaluate_modules import EVALUATE_MODULES
    >>> metric = evaluate.load(EVALUATE_MODULES["attack_success_rate"])
    >>> scores = metric.compute(predictions=[1, 1, 0, 0], references=[0, 1, 1, 0], clean_predictions=[0, 1, 0, 0])
    >>> round(scores["attack_success_rate"], 4), scores["num_attacked"]
    (0.3333, 3)
"""
CITATION = """
@inproceedings{morris2020textattack,
    title = {{TextAttack}: A Framework for Adversarial Attacks, Data Augmentation, and Adversarial Training in {NLP}},
    author = {Morris, John X. and Lifland, Eli and Yoo, Jin Yong and Grigsby, Jake and Jin, Di and Qi, Yanjun},
    booktitle = {Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing: System Demonstrations},
    year = {2020},
    pages = {119--126},
    doi = {10.18653/v1/2020.emnlp-demos.16},
}
"""  # noqa: E501


class AttackSuccessRate(evaluate.Metric):
    """S / (S + F) over the texts that were classified correctly before the attack."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS_DESCRIPTION,
            features=input_features(self.config_name),
            license=LICENSE,
            reference_urls=["https://arxiv.org/abs/2005.05909"],
        )

    def _compute(
        self,
        predictions: list[int],
        references: list[int],
        clean_predictions: list[int] | None = None,
        obstinate: bool = False,
    ) -> dict[str, float]:
        attacked = attacked_rows(references, clean_predictions)
        stays = [guess == label for guess, label, was in zip(predictions, references, attacked, strict=True) if was]
        succeeded = sum(kept == obstinate for kept in stays)
        return {**rate("attack_success_rate", succeeded, len(stays)), "num_attacked": len(stays)}
