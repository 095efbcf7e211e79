"""What the committed comparison of FSDP with DDP says, and which runs it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.experiments.sharded import RUNS, merged
from benchmarks.study.sharded_table import FILE, compact
from benchmarks.study.stored import COMMITTED
from hf_robust.trainers import METHODS


@pytest.fixture(scope="module")
def runs() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((COMMITTED / FILE).read_text(encoding="utf-8"))["runs"]
    return stored


def test_every_method_is_compared_and_equals_ddp_or_is_refused(runs: dict[str, Any], tmp_path: Path) -> None:
    assert list(runs) == list(RUNS)
    for name, outcome in runs.items():
        method, options = RUNS[name]
        args = METHODS[method].config(output_dir=str(tmp_path), **{**METHODS[method].mid_run, **options})
        assert ("refused" in outcome) is bool(METHODS[method].needs_whole_model(args)), name
        if "refused" not in outcome:
            differences = [outcome[key] or 0.0 for key in ("weights", "auxiliary", "saved_model")]
            assert max(differences) < 1e-5 and outcome["attacked_texts"], name


def test_runs_that_are_measured_again_replace_the_former_ones(runs: dict[str, Any]) -> None:
    again = {"taichi": {"refused": "in this test"}}
    assert list(merged(again)) == list(RUNS) and merged(again) == {**runs, **again}


def test_the_table_has_a_row_for_each_run(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text((COMMITTED / FILE).read_text())
    table = compact(tmp_path)
    assert all(f"| `{name}` |" in table for name in RUNS) and "refused: flat needs the whole model" in table
