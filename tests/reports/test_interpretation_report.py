"""The table and picture of interpretation consistency, and the scatter of importances."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hf_robust.reports import draw_importance, draw_interpretation, interpretation_table, percent
from hf_robust.reports.interpretation import interpretation_figure


def result(**changes: Any) -> dict[str, Any]:
    top = [{"k": k, "mean": k / 10, "low": k / 20, "high": 1.0} for k in range(1, 11)]
    tau = {"mean": 0.414, "low": 0.3, "high": 0.5}
    found = {"kendall_tau": tau, "top_k": top, "num_pairs": 1200, "num_undefined": 2, "words": 17.25}
    return {**found, "changed_share": 0.2, "complete_share": 0.975, "worst_completeness": 0.031,
            "seconds_per_pair": 1.5, **changes}  # fmt: skip


def test_table() -> None:
    none = {"mean": None, "low": None, "high": None}
    single = {"mean": 0.5, "low": None, "high": None}
    unknown = result(kendall_tau=none, complete_share=None, worst_completeness=None)
    text = interpretation_table({"ig": result(), "lime": unknown, "one": result(kendall_tau=single)})
    header, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert header[:4] == ["attribution", "tau", "top-1", "top-2"] and "top-10" in header
    assert rows[0][:3] == ["ig", "0.41 [0.30, 0.50]", "0.10"] and rows[0][6] == "0.50 [0.25, 1.00]"
    assert rows[0][-7:] == ["1,200", "2", "17.2", "20.0 %", "97.5 %", "3.1 %", "1.50"]
    assert rows[1][1] == "–" and rows[1][-3:-1] == [percent(math.nan)] * 2 and rows[2][1] == "0.50"


def test_one_curve_for_each_attribution(tmp_path: Path) -> None:
    results = {"ig": result(), "lime": result()}
    (axes,) = interpretation_figure(results, "title").axes
    assert [list(line.get_xdata()) for line in axes.lines] == [list(range(1, 11))] * 2
    assert [line.get_label() for line in axes.lines][0] == "ig: tau 0.41 [0.30, 0.50], n = 1,200"
    paths = draw_interpretation(results, tmp_path / "new", "title")
    assert [path.name for path in paths] == ["interpretation.png", "interpretation.svg"]
    assert all(path.stat().st_size > 1000 for path in paths)


def test_scatter(tmp_path: Path) -> None:
    panels: dict[str, Any] = {"frequency": ([(1, 0.5), (10, 0.7)], 1.0), "replacements": ([], float("nan"))}
    paths = draw_importance(panels, tmp_path)
    assert all(path.stat().st_size > 1000 for path in paths)
    assert "Pearson r not defined, 0 words" in paths[1].read_text()
