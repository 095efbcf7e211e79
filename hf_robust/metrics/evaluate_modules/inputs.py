"""What the three modules share: their inputs, which rows were attacked, and a rate with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hf_robust.metrics.rates import ratio, wilson_interval

EVALUATOR = "evaluator"
"""Configuration for ``evaluate.evaluator``, which gives predictions and one label column only."""
SKIPPED = -100
"""Label of a text that was not attacked, because the model was wrong before the attack."""

INPUTS = """
Args:
    predictions (list of int): predicted class of each text after the attack.
    references (list of int): true class of each text.
    clean_predictions (list of int): predicted class of each text before the attack.
        The configuration "evaluator" has no clean_predictions. There, references is -100 for each text that was
        misclassified before the attack.
"""
LICENSE = "Apache-2.0"


def input_features(config_name: str, predictions: Any = None, evaluator_references: Any = None) -> Any:
    """The columns of a module as ``datasets.Features``.

    Args:
        config_name: ``default`` or ``evaluator``.
        predictions: feature of the predictions with ``default``; a class id unless given.
        evaluator_references: feature of the references with ``evaluator``; a class id unless given.

    Raises:
        ValueError: there is no such configuration.
    """
    from datasets import Features, Value

    number = Value("int64")
    if config_name == "default":
        return Features(predictions=predictions or number, references=number, clean_predictions=number)
    if config_name == EVALUATOR:
        return Features(predictions=number, references=evaluator_references or number)
    raise ValueError(
        f'there is no configuration {config_name}: leave it out, or give "{EVALUATOR}" for evaluate.evaluator.'
    )


def attacked_rows(references: Sequence[int], clean_predictions: Sequence[int] | None) -> list[bool]:
    """Whether each row was attacked: it was classified correctly before.

    >>> attacked_rows([0, 1, 1], [0, 0, 1]), attacked_rows([0, SKIPPED, 1], None)
    ([True, False, True], [True, False, True])
    """
    if clean_predictions is None:
        return [label != SKIPPED for label in references]
    return [label == clean for label, clean in zip(references, clean_predictions, strict=True)]


def rate(name: str, part: int, whole: int) -> dict[str, float]:
    """The rate ``part / whole`` under its name, and the ends of its 95 % Wilson interval; nan if ``whole`` is 0."""
    low, high = wilson_interval(part, whole)
    return {name: ratio(part, whole), f"{name}_low": low, f"{name}_high": high}
