"""The native recipes end as TextAttack 0.3.11 did on the same texts, tables and model: status, text, queries."""

import pytest
from identity.setting import RECIPES, examples, given, probe, read, victim

from hf_robust.attacks import ATTACKS, attack_dataset


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
    records = attack_dataset(ATTACKS[name](given(stored)), target, examples(stored, rows), progress=False)
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
