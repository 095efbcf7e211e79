"""What the committed figures about TaiChi's head and failed rows say, and how their intervals are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.experiments.taichi_head import HEADS, MEASURES, SETTINGS, contrasts, interval

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return dict(json.loads((ROOT / "benchmarks" / "results" / "taichi_head.json").read_text()))


def test_the_file_is_of_these_settings(result: dict[str, Any]) -> None:
    assert result["seeds"] == [1, 2, 3]
    assert result["settings"] == {name: list(given) for name, given in SETTINGS.items()}
    assert set(result["measured"]) == {f"{head}, {setting}" for head in HEADS for setting in SETTINGS}
    assert set(result["differences"]) == {f"{second} - {first}" for first, second in contrasts()}


def test_differences_are_those_of_the_means(result: dict[str, Any]) -> None:
    for first, second in contrasts():
        for what in MEASURES:
            means = [result["measured"][name][what]["value"] for name in (second, first)]
            found = result["differences"][f"{second} - {first}"][what]["value"]
            assert found == pytest.approx(means[0] - means[1], abs=1.6e-3)  # each is rounded to three places


def test_the_papers_head_brings_pairs_together_and_clean_texts_keep_the_task(result: dict[str, Any]) -> None:
    differences = result["differences"]
    for failed in ("drop", "clean"):
        head = differences[f"mean, no_kl, {failed} - own, no_kl, {failed}"]
        assert head["KL of pairs"]["high"] < 0 < head["accuracy on x'"]["low"]
    for head in HEADS:
        kept = differences[f"{head}, base_adv, clean - {head}, base_adv, drop"]["clean accuracy"]
        assert kept["low"] > 0


def test_the_notes_have_the_committed_figures(result: dict[str, Any]) -> None:
    said = (ROOT / "benchmarks" / "notes.md").read_text()
    for name, found in result["measured"].items():
        cells = [f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" for one in map(found.get, MEASURES)]
        assert f"| {name} | {' | '.join(cells)} |" in said


def test_an_interval_is_students() -> None:
    # t(0.975, 2) = 4.303 and s / sqrt(3) = 0.5774
    found = interval([1.0, 2.0, 3.0])
    assert found == {"value": 2.0, "low": pytest.approx(-0.484, abs=1e-3), "high": pytest.approx(4.484, abs=1e-3)}
    assert interval([0.25, 0.25]) == {"value": 0.25, "low": 0.25, "high": 0.25}
