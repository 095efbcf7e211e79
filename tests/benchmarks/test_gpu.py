"""The GPU benchmark on a tiny model and whatever device there is; nothing here looks at how long anything took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.performance import gpu
from benchmarks.study import gpu_table


def smoke(folder: Path, *parts: str, code: int = 0) -> dict[str, Any]:
    assert gpu.main(["--smoke", "--output", str(folder), "--parts", *parts]) == code
    text = (folder / "gpu.json").read_text()
    assert str(folder) not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_every_part_but_the_processes(tmp_path: Path) -> None:
    parts = ["training", "attack", "budget", "memory", "cost"]
    result = smoke(tmp_path, *parts)
    assert list(result["parts"]) == list(result["seconds"]) == parts and result["left_out"] == {}
    assert result["smoke"] and {"date", "machine", "versions", "model"} <= set(result)
    found = result["parts"]
    assert [(row["type"], row["method"]) for row in found["training"]] == [
        (kind, name) for kind in gpu.TYPES for name in gpu.TRAINED
    ]
    assert all(row["texts_per_second"] == pytest.approx(4 / row["seconds"]) for row in found["training"])
    check_attack(found["attack"])
    for rows in found["budget"]["types"].values():
        assert [row["budget"] for row in rows] == list(gpu.SMOKE.budgets)
        assert rows[0]["batches"] >= rows[1]["batches"] > 0
    check_memory(found["memory"])
    for kind, cost in found["cost"].items():
        assert list(cost["methods"]) == ["normal", "freelb"] and cost["setting"]["bf16"] == (kind == "bfloat16")
    check_tables(result)


def check_attack(rows: list[dict[str, Any]]) -> None:
    assert [(row["type"], row["recipe"]) for row in rows] == [
        (kind, name) for kind in gpu.TYPES for name in gpu.RECIPES
    ]
    for row in rows:
        assert row["engine"]["attacked"] == gpu.SMOKE.examples and row["engine"]["queries"] > 0
        assert row["one_at_a_time"]["examples"] == gpu.SMOKE.single
        if row["type"] == "float32":
            assert row["same"] == gpu.SMOKE.single


def check_memory(part: dict[str, Any]) -> None:
    """The batches were too large, were made smaller, and gave the same scores."""
    assert part["lowered_to"] < part["asked"] == max(gpu.SMOKE.budgets)
    assert part["largest_difference"] < 1e-5 and part["batches"] > 1


def check_tables(result: dict[str, Any]) -> None:
    text = gpu_table.tables(result)
    assert all(f"**{gpu_table.PARTS[name][0]}**" in text for name in result["parts"])
    assert "| `freelb` |" in text and "| float32 | `textfooler` |" in text


@pytest.mark.slow
def test_shards_on_one_process(tmp_path: Path) -> None:
    (run,) = smoke(tmp_path, "sharded")["parts"]["sharded"].values()
    assert run["weights"] < 1e-5 and run["attacked_texts"]


def test_a_part_that_fails_is_named_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(bench: Any) -> None:
        raise RuntimeError("no such\nkernel")

    monkeypatch.setitem(gpu.PARTS, "training", broken)
    result = smoke(tmp_path, "training", "memory", code=1)
    assert result["left_out"] == {"training": "RuntimeError: no such kernel"} and list(result["parts"]) == ["memory"]
    assert "Not measured: training, RuntimeError: no such kernel." in gpu_table.tables(result)


def test_a_part_that_would_begin_too_late_is_named(tmp_path: Path) -> None:
    assert gpu.main(["--smoke", "--output", str(tmp_path), "--parts", "memory", "--minutes", "-1"]) == 1
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert "--parts memory" in result["left_out"]["memory"] and result["parts"] == {}


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for flags, sentence in (([], "torch finds no GPU"), (["--smoke"], "--smoke needs --output")):
        with pytest.raises(SystemExit):
            gpu.main(flags)
        assert sentence in capsys.readouterr().err


def test_without_a_result_the_docs_say_so(tmp_path: Path) -> None:
    assert gpu_table.compact(tmp_path).strip() == gpu_table.NONE
