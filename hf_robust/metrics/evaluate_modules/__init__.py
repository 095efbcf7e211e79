"""Metrics of attacks as modules of the package `evaluate`, each in a folder that ``evaluate.load`` takes.

>>> sorted(EVALUATE_MODULES)
['attack_success_rate', 'robust_accuracy', 'worst_case']
"""

from pathlib import Path

EVALUATE_MODULES = {
    name: str(Path(__file__).resolve().parent / name)
    for name in ("attack_success_rate", "robust_accuracy", "worst_case")
}
"""Folder of each module by its name: ``evaluate.load(EVALUATE_MODULES["robust_accuracy"])``."""

__all__ = ["EVALUATE_MODULES"]
