"""TextAttack's results as ours, from objects of the same shape: the library itself need not be installed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hf_robust.attacks import Example
from hf_robust.attacks.textattack.records import to_record
from hf_robust.metrics import AttackSummary


def result(kind: str) -> Any:
    def side(words: list[str], output: list[float]) -> Any:
        text = SimpleNamespace(
            words=words, tokenizer_input=" ".join(words), attack_attrs={"original_index_map": range(len(words))}
        )
        return SimpleNamespace(attacked_text=text, raw_output=torch.tensor(output))

    made = type(kind, (), {})()
    made.original_result, made.perturbed_result = side(["a", "film"], [0.2, 0.8]), side(["a", "plot"], [0.1, 0.9])
    made.num_queries = 5
    return made


@pytest.mark.parametrize(
    ("kind", "status", "remains"),
    [
        ("SuccessfulAttackResult", "succeeded", None),
        ("FailedAttackResult", "failed", None),
        # Input reduction: it is pushed as far as the prediction stays, and leaves no accuracy under attack.
        ("MaximizedAttackResult", "succeeded", True),
    ],
)
def test_a_goal_that_is_only_pushed_keeps_the_prediction(kind: str, status: str, remains: bool | None) -> None:
    record = to_record(Example(0, ("a film",), 1), result(kind), None, keeps_prediction=remains is not None)
    assert (record.status, record.remains, record.changed) == (status, remains, [[1, "film", "plot"]])
    assert ("robust_accuracy" in AttackSummary.from_records([record]).history()) is (remains is None)
