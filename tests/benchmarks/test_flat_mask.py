"""What the committed figures about FLAT's mask say, and how they are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.experiments.flat_mask import AFTER, BEFORE, NORM, SETTINGS, TRAINING, interval, summary
from hf_robust.runs import LEAST_SPREAD

ROOT = Path(__file__).parents[2]


def committed() -> dict[str, Any]:
    result: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / "flat_mask.json").read_text())
    return result


def test_the_mask_told_no_words_apart_and_now_does() -> None:
    result = committed()
    assert result["settings"] == SETTINGS and result["training"] == TRAINING and result["seeds"] == [1, 2, 3]
    before, norm, after = (result["measured"][name] for name in (BEFORE, NORM, AFTER))
    assert before["phi std"]["high"] < LEAST_SPREAD < 0.1 < after["phi std"]["low"]
    assert after["rank correlation"]["low"] > 0.3 > norm["rank correlation"]["value"]
    assert norm["phi std"]["high"] < 0.1
    assert after["expected less none"]["value"] > -0.01
    assert len(after["phi std"]["seeds"]) == 3 and min(after["phi std"]["seeds"]) > 0.1


@pytest.mark.parametrize(("name", "digits"), [("phi std", 3), ("rank correlation", 2)])
def test_the_notes_have_the_committed_figures(name: str, digits: int) -> None:
    said = (ROOT / "benchmarks" / "notes.md").read_text()
    for setting in SETTINGS:
        value, low, high = (
            f"{committed()['measured'][setting][name][key]:.{digits}f}" for key in ("value", "low", "high")
        )
        assert f"{value} [{low}, {high}]" in said


def test_quantities_by_hand() -> None:
    phi = np.array([0.2, 0.8, 0.5])
    ranked = np.array([(0.1, 5.0), (0.2, 7.0), (0.3, 6.0), (0.4, 9.0)] * 20)
    right = np.array([(1.0, 1.0, 0.4), (1.0, 0.0, 0.6), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)])
    found = summary([{"phi": phi, "ranked": ranked, "right": right}] * 2)
    assert found["phi mean"]["value"] == 0.5 and found["phi std"]["value"] == pytest.approx(0.2449, abs=1e-4)
    # Ranks 1 2 3 4 against 1 3 2 4: 1 - 6 (1 + 1) / (4 (16 - 1)).
    assert found["rank correlation"]["seeds"] == [0.8, 0.8]
    assert found["accuracy at the expected mask"]["value"] == 0.75 and found["expected less none"]["value"] == 0.25
    assert found["accuracy with sampled masks"]["value"] == 0.5 and found["words"] == [3, 3]


def test_an_interval_of_equal_values_is_that_value() -> None:
    one = interval([np.full(5, 0.25)] * 2, np.mean)
    assert (one["value"], one["low"], one["high"], one["seeds"]) == (0.25, 0.25, 0.25, [0.25, 0.25])
