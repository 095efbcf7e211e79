"""What the committed figures about adaptive_freelb and its controls say, and how they are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.experiments.adaptive_controls import (
    CLIMB,
    COMPARED,
    DEFAULT,
    FAST,
    FROZEN,
    OWN,
    SAME,
    SETTINGS,
    differences,
    summary,
)
from hf_robust.reports import LEAST_MOVED
from hf_robust.trainers import METHODS

ROOT = Path(__file__).parents[2]


def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / "adaptive_controls.json").read_text())
    return found


def test_the_settings_are_those_of_the_sweep_of_controls() -> None:
    """Each is a block of the sweep's FreeLB, but for the larger rate."""
    sweep = json.loads((ROOT / "examples" / "sweeps" / "adaptive_controls.json").read_text())
    blocks = [one["args"] for one in sweep["blocks"] if one["args"]["robust_method"].endswith("freelb")]
    known = {(one["robust_method"], one.get("include_initial", True), one.get("w_lr")) for one in blocks}
    for name, (method, options) in SETTINGS.items():
        config = METHODS[method].config(output_dir="x", **CLIMB, **options)
        setting = (method, getattr(config, "include_initial", True), getattr(config, "w_lr", None))
        assert (setting in known) == (name != FAST), name
    assert committed()["settings"] == {name: options for name, (_, options) in SETTINGS.items()}


def outcomes(*statuses: float) -> dict[str, Any]:
    return {"outcomes": list(statuses)}


def test_a_difference_is_that_of_robust_accuracy_on_the_same_texts() -> None:
    nan = float("nan")
    seen = [
        {OWN: outcomes(1, 1, 0, nan), SAME: outcomes(1, 1, 1, nan), FROZEN: outcomes(0, 1, 0, nan),
         DEFAULT: outcomes(0, 1, 0, nan), FAST: outcomes(0, 0, 0, 0)}
    ]  # fmt: skip
    found = {(one["control"], one["setting"]): one["value"] for one in differences(seen)}
    assert list(found) == list(COMPARED)
    assert found == {
        (OWN, DEFAULT): 25.0, (SAME, DEFAULT): 50.0, (FROZEN, DEFAULT): 0.0, (OWN, FROZEN): 25.0,
        (FROZEN, FAST): 50.0,
    }  # fmt: skip


def test_a_summary_is_in_points_and_leaves_out_what_a_method_does_not_log() -> None:
    one = {"accuracy": 0.75, "outcomes": [1.0, 0.0, float("nan"), 0.0], "loss_increase": 0.5}
    found = summary([one, {**one, "accuracy": 0.85}])
    assert found["clean_accuracy"] == {"mean": 80.0, "by_seed": [75.0, 85.0]}
    assert found["robust_accuracy"]["mean"] == 50.0 and found["loss_increase"]["mean"] == 0.5
    assert "point_moved" not in found
    assert summary([{**one, "point_moved": 0.02, "increment_alignment": 0.9}])["point_moved"]["mean"] == 2.0


def test_the_adaptive_form_trains_as_freelb_does_at_its_points_whatever_the_weights_learn() -> None:
    measured = committed()["measured"]
    assert measured[FROZEN]["point_moved"]["mean"] == 0.0 < measured[DEFAULT]["point_moved"]["mean"]
    assert max(measured[FAST]["point_moved"]["by_seed"]) < 100 * LEAST_MOVED
    assert min(one["clean_accuracy"]["mean"] for one in measured.values()) > 75.0  # none is at chance
    increase = {name: one["loss_increase"]["mean"] for name, one in measured.items()}
    assert [increase[name] for name in (SAME, DEFAULT, FAST)] == pytest.approx([increase[FROZEN]] * 3, rel=0.01)
    assert increase[OWN] < 0.7 * increase[FROZEN]


@pytest.mark.parametrize("pair", COMPARED, ids=" against ".join)
def test_the_notes_have_the_committed_figures(pair: tuple[str, str]) -> None:
    (one,) = (row for row in committed()["differences"] if (row["control"], row["setting"]) == pair)
    said = (ROOT / "benchmarks" / "notes.md").read_text()
    assert f"{one['value']:+.1f} [{one['low']:.1f}, {one['high']:.1f}]" in said
