"""What the committed figures about SMART's term say, and how their intervals are made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiments.smart_radius import SETTINGS, interval
from hf_robust.data.legacy_flags import current_names
from hf_robust.trainers.smart import SMARTConfig

ROOT = Path(__file__).parents[2]


def test_the_default_has_an_adversary_and_the_papers_radius_has_dropout_alone(tmp_path: Path) -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "smart_radius.json").read_text())
    term = {name: (one["low"], one["high"]) for name, one in result["term"].items()}
    stored = {name: current_names(flags) for name, flags in result["settings"].items()}
    assert stored == SETTINGS and set(term) == {*SETTINGS, "random signs"}
    assert term["default"][0] > 100 * term["random signs"][1]
    assert term["the paper's radius"][1] < 1e-3 * term["no perturbation, dropout of each pass its own"][0]
    paper, none = (
        result["term"][f"{name}, dropout of each pass its own"]["value"]
        for name in ("the paper's radius", "no perturbation")
    )
    assert paper == pytest.approx(none, rel=0.02)
    default = SMARTConfig(output_dir=str(tmp_path))
    papers = SETTINGS["the paper's radius"]
    assert (default.adv_lr, default.adv_max_norm) == pytest.approx(
        (100 * papers["adv_lr"], 100 * papers["adv_max_norm"])
    )


@pytest.mark.parametrize("name", ["default", "random signs", "the paper's radius"])
def test_the_notes_have_the_committed_figures(name: str) -> None:
    one = json.loads((ROOT / "benchmarks" / "results" / "smart_radius.json").read_text())["term"][name]
    said = (ROOT / "benchmarks" / "notes.md").read_text()
    texts = [f"{value:.3f}" if value > 1e-3 else f"{value:.1e}".replace("e-0", "e-") for value in one.values()]
    assert f"{texts[0]} [{texts[1]}, {texts[2]}]" in said


def test_an_interval_of_equal_values_is_that_value() -> None:
    assert interval(np.full(5, 0.25)) == {"value": 0.25, "low": 0.25, "high": 0.25}
