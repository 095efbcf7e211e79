"""Picture of the ASR over the query budget, and unions in history and tables."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from run_folders import attack_line, make_run
from test_tables import rows

from hf_robust.metrics import AttackRecord, wilson_interval
from hf_robust.reports import comparison_table, draw_asr_by_budget, results_table
from hf_robust.reports.budget import budget_figure
from hf_robust.runs import finite, load_run, read_history, write_history_line

UNION: dict[str, Any] = {
    "attacks": ["synonym", "pwws"],
    "num_examples": 100,
    "robust_accuracy": 0.4,
    "robust_accuracy_low": 0.3,
    "robust_accuracy_high": 0.5,
}


def record(status: str, queries: int) -> AttackRecord:
    return AttackRecord(0, 0, status, [""], [""], [], queries, 0, 0, 1.0, 1.0, "", 0)


def union_run(folder: Path, seed: int = 0, **union: Any) -> Path:
    make_run(folder, [(40, 40)], seed=seed)
    (line,) = read_history(folder)
    write_history_line(folder, {**line, "union": {**UNION, **union}})
    return folder


def test_steps_stand_at_the_queries_of_successes() -> None:
    found = [record("succeeded", 4), record("succeeded", 9), record("failed", 20), record("skipped", 1)]
    figure = budget_figure({"pwws": found, "none": [record("skipped", 1)]}, "model on data")
    (axes,) = figure.axes
    curve, empty = axes.get_lines()
    assert curve.get_drawstyle() == "steps-post" and curve.get_label() == "pwws"
    assert list(curve.get_xdata()) == [1, 4, 9, 20]
    assert list(curve.get_ydata()) == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3])
    assert empty.get_label() == "none (nothing attacked)" and len(empty.get_xdata()) == 0
    (band,) = axes.collections
    heights = {round(float(y), 9) for y in band.get_paths()[0].vertices[:, 1]}
    assert {round(bound, 9) for bound in wilson_interval(2, 3)} <= heights
    assert "Attacked examples: pwws 3, none 0." in figure.get_supxlabel()


def test_both_files_are_written_and_equal_again(tmp_path: Path) -> None:
    found = {"pwws": [record("succeeded", 4), record("failed", 20)]}
    png, svg = draw_asr_by_budget(found, tmp_path / "new", "model on data")
    assert (png.name, svg.name) == ("asr_by_budget.png", "asr_by_budget.svg")
    first = svg.read_bytes()
    assert b"model on data" in first and png.stat().st_size > 5000
    draw_asr_by_budget(found, tmp_path / "new", "model on data")
    assert svg.read_bytes() == first


def test_a_union_survives_the_history(tmp_path: Path) -> None:
    folder = union_run(tmp_path, robust_accuracy_low=math.nan)
    assert '"robust_accuracy_low": null' in (folder / "robustness_history.jsonl").read_text()
    (line,) = read_history(folder)
    assert line["union"]["attacks"] == ["synonym", "pwws"] and math.isnan(line["union"]["robust_accuracy_low"])
    for wrong in ({"attacks": []}, {"robust_accuracy": 0.5}, {**UNION, "robust_accuracy": "high"}, 3):
        with pytest.raises(ValueError, match="'union' needs"):
            write_history_line(tmp_path, {**line, "union": wrong})


def test_a_line_of_earlier_weights_leaves_the_later_ones(tmp_path: Path) -> None:
    make_run(tmp_path, [(10, 70), (20, 60), (30, 50)])
    line = {"epoch": 2.0, "step": 200, "accuracy": 0.5, "attacks": {"synonym": attack_line(1, 1, 2)}}
    write_history_line(tmp_path, line, keep_later=True)
    history = read_history(tmp_path)
    assert [one["epoch"] for one in history] == [1.0, 2.0, 3.0] and history[1]["accuracy"] == 0.5
    write_history_line(tmp_path, line)
    assert [one["epoch"] for one in read_history(tmp_path)] == [1.0, 2.0]


def test_tables_name_the_attacks_of_a_union(tmp_path: Path) -> None:
    run = union_run(tmp_path / "0")
    assert rows(results_table(load_run(run)))[-1] == [
        "worst of synonym, pwws",
        "–",
        "40.0 [30.0, 50.0]",
        "–",
        "100",
        "–",
        "–",
    ]
    header, row, *_ = rows(comparison_table([run]))
    assert dict(zip(header, row, strict=True))["worst of synonym, pwws: robust accuracy"] == "40.0 [30.0, 50.0]"
    seeds = [run, union_run(tmp_path / "1", seed=1, robust_accuracy=0.5)]
    header, row, *_ = rows(comparison_table(seeds))
    assert dict(zip(header, row, strict=True))["worst of synonym, pwws: robust accuracy"] == "45.0 ± 7.1"
    other = union_run(tmp_path / "2", attacks=["synonym", "bae"])
    header, *both, _ = rows(comparison_table([run, other]))[:4]
    cells = [dict(zip(header, row, strict=True)) for row in both]
    assert [cell["worst of synonym, pwws: robust accuracy"][:4] for cell in cells] == ["40.0", "–"]
    assert [cell["worst of synonym, bae: robust accuracy"][:4] for cell in cells] == ["–", "40.0"]


def test_finite_makes_any_value_json() -> None:
    value = finite({"a": [1.0, math.nan, {"b": math.inf}], "c": (2,)})
    assert value == {"a": [1.0, None, {"b": None}], "c": [2]} and json.dumps(value, allow_nan=False)
