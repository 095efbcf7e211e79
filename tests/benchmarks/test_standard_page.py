"""The parts of the page of the standard, from the committed results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.experiments.miscalibration import MODELS, NORMAL, SCALED
from benchmarks.study import standard_page
from benchmarks.study.stored import COMMITTED
from hf_robust.attacks.standard import member_names


def test_every_attack_of_the_list_has_its_row_and_its_page() -> None:
    rows = standard_page.members(COMMITTED).splitlines()[2:]
    for row, name in zip(rows, member_names(), strict=True):
        assert f"[`{name}`](docs/generated/attacks/{name}.md)" in row


def test_the_cascade_had_the_outcomes_of_its_attacks_for_fewer_queries() -> None:
    result = json.loads((COMMITTED / standard_page.CASCADE).read_text())
    entry, alone = result["cascade"], result["alone"]
    assert result["same_outcomes"] and entry["robust_accuracy"] == pytest.approx(result["union"])
    assert entry["robust_accuracy"] <= min(cost["robust_accuracy"] for cost in alone.values())
    queries = sum(cost["queries"] for cost in alone.values())
    assert result["ratio"]["queries"] == pytest.approx(queries / entry["queries"]) and queries > entry["queries"]
    assert f"{result['ratio']['queries']:.1f} times as many queries" in standard_page.cascade(COMMITTED)


def test_one_classifier_with_larger_logits_has_the_same_number_by_margin_alone() -> None:
    result = json.loads((COMMITTED / standard_page.MISCALIBRATION).read_text())
    models = result["models"]
    assert {*models, *result["left_out"]} == {*MODELS, SCALED} and {NORMAL, SCALED} <= set(models)
    normal, scaled = models[NORMAL], models[SCALED]
    assert scaled["margin"]["robust_accuracy"] == normal["margin"]["robust_accuracy"]
    assert scaled["margin"]["accuracy"] == normal["margin"]["accuracy"]
    assert scaled["probability"]["robust_accuracy"] > normal["probability"]["robust_accuracy"]
    assert all(name in standard_page.miscalibration(Path(COMMITTED)) for name in models)
