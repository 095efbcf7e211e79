"""The memory of an attack: the script measures it, and the docs have its table."""

import json
from pathlib import Path

import pytest

from benchmarks.performance import attack_memory
from benchmarks.study.memory_table import FILE, compact
from benchmarks.study.stored import COMMITTED


def test_the_table_has_each_size_beside_the_code_before(tmp_path: Path) -> None:
    cell = {"MB of the rows": 1.0, "MB of the attack": 2.0, "MB with files": 3.0, "MB with kernels": 4.0}
    cells = [
        {"code": code, "attack": "pwws", "texts": texts, "MB of the journal": 0.5, **cell}
        for code, texts in (("before", 10), ("after", 10), ("after", 1000))
    ]
    cells[0]["MB with files"] = 9.0
    (tmp_path / FILE).write_text(json.dumps({"cells": cells}))
    first, second = compact(tmp_path).splitlines()[2:]
    assert first == "| `pwws` | 10 | 1.0 (1.0) | 2.0 (2.0) | 3.0 (9.0) | 4.0 (4.0) | 0.5 |"
    assert second == "| `pwws` | 1,000 | 1.0 | 2.0 | 3.0 | 4.0 | 0.5 |"


def test_the_committed_result_is_in_the_table() -> None:
    cells = json.loads((COMMITTED / FILE).read_text(encoding="utf-8"))["cells"]
    assert compact(COMMITTED).count("\n") - 2 == sum(cell["code"] == "after" for cell in cells) > 0


def test_memory_of_an_attack_is_measured_at_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ROBUST_CACHE", str(tmp_path))  # the measurement changes it
    measured = attack_memory.measure("synonym", 12)
    assert measured["MB before"] > 0 and measured["seconds"] > 0 and 0 < measured["MB of the journal"] < 1
    assert 0 <= measured["MB of the rows"] <= measured["MB of the attack"] <= measured["MB with files"]
