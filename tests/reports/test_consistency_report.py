"""Kendall's tau and top-k intersection of several runs in one table of the report."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from run_folders import make_run

from hf_robust.reports import load_runs, write_report
from hf_robust.reports.consistency import consistency_section
from hf_robust.runs import Run, load_run

SETTINGS = {"baseline": "pad", "steps": 50, "samples": 500, "ranking": "signed", "keep": "all", "max_length": 64}


def estimate(mean: float) -> dict[str, float | None]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}


def measure(folder: Path, tau: float, names: tuple[str, ...] = ("ig", "lime"), **settings: Any) -> None:
    """Write what `hf-robust interpret consistency` writes; top-k is tau plus k hundredths."""
    result = {
        "num_pairs": 40, "changed_share": 0.1, "kendall_tau": estimate(tau),
        "top_k": [{"k": k, **estimate(tau + k / 100)} for k in range(1, 11)],
    }  # fmt: skip
    content = {"pairs": ["~/runs/attack_results/epoch-2/synonym.jsonl"], "settings": {**SETTINGS, **settings}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "interpretation.json").write_text(json.dumps({**content, "attributions": dict.fromkeys(names, result)}))


def run(folder: Path, tau: float, **more: Any) -> Run:
    made = make_run(folder, [(5, 5)], **more)
    measure(folder / "measured" / "interpret-consistency-1", tau)
    return load_run(made)


def rows(groups: list[list[Run]]) -> list[dict[str, str]]:
    section = consistency_section(groups)
    assert section is not None
    (table,) = section.tables
    return [dict(zip(table.header, [cell.text for cell in row], strict=True)) for row in table.rows]


def test_methods_and_attributions_stand_side_by_side(tmp_path: Path) -> None:
    taus = (0.4, 0.5, 0.7)
    seeds = [run(tmp_path / str(seed), tau, seed=seed) for seed, tau in enumerate(taus)]
    found = rows([seeds, [run(tmp_path / "s", 0.8, method="flat")]])
    assert [(row["method"], row["attribution"]) for row in found] == [
        ("normal", "ig"), ("normal", "lime"), ("flat", "ig"), ("flat", "lime"),
    ]  # fmt: skip
    mean, deviation = 100 * statistics.mean(taus), 100 * statistics.stdev(taus)
    assert found[0]["tau × 100"] == f"{mean:.1f} ± {deviation:.1f}" and found[0]["seeds"] == "3"
    assert found[0]["top-5, %"] == f"{mean + 5:.1f} ± {deviation:.1f}"
    assert found[2]["tau × 100"] == "80.0 [70.0, 90.0]" and found[2]["pairs"] == "40"
    assert found[2]["pairs of"] == "synonym" and found[2]["changed words, %"] == "10.0"
    assert found[0]["settings"] == "ranking signed, keep all, baseline pad, steps 50, max_length 64"
    assert found[1]["settings"] == "ranking signed, keep all, samples 500, max_length 64"


def test_measurements_by_other_settings_are_not_averaged_and_the_last_of_one_kind_counts(tmp_path: Path) -> None:
    one, other = run(tmp_path / "0", 0.4), run(tmp_path / "1", 0.6, seed=1)
    measure(tmp_path / "1" / "measured" / "interpret-consistency-2", 0.2, ("ig",), steps=10)
    measure(tmp_path / "0" / "measured" / "interpret-consistency-10", 0.8, ("ig",))
    measure(tmp_path / "0" / "measured" / "interpret-consistency-9", 0.1, ("ig",))
    by_settings = {(row["attribution"], row["settings"]): row["tau × 100"] for row in rows([[one, other]])}
    assert sorted(by_settings.values()) == ["20.0 [10.0, 30.0]", "50.0 ± 14.1", "70.0 ± 14.1"]


def test_the_report_has_the_section_only_if_a_run_was_measured(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a", 0.5).path, make_run(tmp_path / "b", [(5, 5)], method="safer")
    _, text = write_report(load_runs([first, second]), tmp_path / "with")
    assert "## Interpretation" in text.read_text() and "| lime |" in text.read_text()
    _, text = write_report(load_runs([second]), tmp_path / "without")
    assert "## Interpretation" not in text.read_text()


def test_files_of_another_form(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", [(5, 5)])
    (folder / "interpretation.json").write_text(json.dumps({"own": {}, "fixed": {}}))  # that of the study
    assert consistency_section([[load_run(folder)]]) is None
    (folder / "interpretation.json").write_text(json.dumps({"attributions": {"ig": {}}}))
    with pytest.raises(ValueError, match="interpretation.json has no pairs, settings and numbers"):
        consistency_section([[load_run(folder)]])
