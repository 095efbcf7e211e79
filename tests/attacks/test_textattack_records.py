"""TextAttack's results as ours, from objects of the same shape: the library itself need not be installed.

The native recipes end as TextAttack 0.3.11 did on the same texts, tables and model: status, text, queries.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from identity.setting import RECIPES, examples, probe, read, resources_of, victim

from hf_robust.attacks import ATTACKS, Example, attack_dataset
from hf_robust.attacks.textattack.records import to_record
from hf_robust.metrics import AttackSummary


@pytest.fixture(scope="module")
def stored():
    return read()


@pytest.fixture(scope="module")
def target(stored):
    found = victim()
    for columns, logits in stored["probes"]:
        assert probe(found, columns) == pytest.approx(logits, abs=1e-4), (
            f"the tiny model is not the one recorded with {stored['versions']}: its weights come from a seed; "
            "record the expected outcomes again (tests/attacks/identity/record.py)."
        )
    return found


@pytest.mark.parametrize(("name", "rows"), [(name, rows) for name, chosen in RECIPES.items() for rows in chosen])
def test_identical_to_textattack(name, rows, stored, target):
    records = attack_dataset(ATTACKS[name](resources_of(stored)), target, examples(stored, rows), progress=False)
    found = {record.idx: [record.status, record.queries, record.perturbed] for record in records}
    expected = stored["expected"][name][rows]
    assert found == {row.idx: one for row, one in zip(examples(stored, rows), expected, strict=True)}


def test_the_stored_outcomes_are_of_every_kind(stored):
    for name, chosen in RECIPES.items():
        for rows in chosen:
            outcomes = stored["expected"][name][rows]
            statuses = {status for status, _, _ in outcomes}
            assert statuses >= ({"succeeded", "skipped"} | ({"failed"} if name != "input_reduction" else set()))
            assert max(queries for _, queries, _ in outcomes) > 5
    assert stored["versions"]["textattack"] == "0.3.11"


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
