"""Tables and picture of error transitions, and of accuracy on clean texts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from hf_robust.metrics import SliceReport, Transition, wilson_interval
from hf_robust.metrics.class_scores import ClassScores
from hf_robust.reports import (
    clean_accuracies,
    conflict_figure,
    conflict_table,
    save_figure,
    transition_figure,
    transition_tables,
)
from hf_robust.runs import write_history_line

NONE = ClassScores(math.nan, math.nan, math.nan)
REPORTS = {
    "all": SliceReport(
        Transition(6, 1, 3, 10), {0: ClassScores(0.5, 0.25, 1 / 3)}, {0: ClassScores(1.0, 0.75, 6 / 7)}
    ),
    "long": SliceReport(Transition(0, 0, 0, 0), {0: NONE}, {0: NONE}),
}


def test_both_denominators_are_shown() -> None:
    text = transition_tables(REPORTS, ["entailment"])
    assert "| all | 20 | 55.0 [" in text and "| 6 | 1 | 3 | 60.0 / 10.0 / 30.0 | 66.7 | 9.1 | 0.44 | 0.125 |" in text
    assert "| all | entailment | new | 100.0 | 75.0 | 85.7 |" in text
    assert "| long | 0 | – | – | 0 | 0 | 0 | – / – / – | – | – | – | 1 |" in text


def test_a_doubtful_slice_comes_with_a_warning() -> None:
    assert transition_tables(REPORTS).startswith("> **Doubtful:** the baseline is correct on only 55.0 % of 'all'")
    fine = {"all": SliceReport(Transition(1, 0, 0, 9))}
    assert "Doubtful" not in transition_tables(fine)


def test_bars_hold_the_shares_of_the_union(tmp_path: Path) -> None:
    figure = transition_figure(REPORTS, "errors")
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert widths == pytest.approx([0.6, 0.1, 0.3, 0.0, 0.0, 0.0])
    assert [text.get_text() for text in figure.axes[0].texts] == ["6", "1", "3"]
    names = [path.name for path in save_figure(figure, tmp_path, "errors")]
    assert names == ["errors.png", "errors.svg"]
    assert b"n = 20, p = 0.12" in (tmp_path / "errors.svg").read_bytes()


def run(folder: Path, accuracy: float, fingerprint: str = "t1-e1", **card: Any) -> Path:
    folder.mkdir()
    (folder / "all_results.json").write_text(json.dumps({"eval_accuracy": accuracy, "eval_samples": 200}))
    data = {"name": "reviews", "fingerprint": fingerprint}
    (folder / "run_card.json").write_text(json.dumps({"method": "taichi", "data": data, **card}))
    return folder


def test_label_conflict_in_a_table_and_a_picture(tmp_path: Path) -> None:
    folders = [run(tmp_path / "clean", 0.9, method="normal")]
    folders += [
        run(tmp_path / name, accuracy, "t2-e1", config={"taichi_variant": name})
        for name, accuracy in (("base_adv", 0.8), ("base_adv_soft", 0.85))
    ]
    rows, reasons = clean_accuracies(folders)
    assert reasons == [] and [row.name for row in rows] == ["normal", "base_adv", "base_adv_soft"]
    assert rows[1].interval == wilson_interval(160, 200)
    table = conflict_table(rows)
    assert "| normal | 90.0 [85.1, 93.4] | 200 | – |" in table and "| 200 | -10.0 |" in table
    assert [patch.get_height() for patch in conflict_figure(rows).axes[0].patches] == [0.9, 0.8, 0.85]


def test_runs_of_other_texts_are_refused_unless_forced(tmp_path: Path) -> None:
    folders = [run(tmp_path / "one", 0.9), run(tmp_path / "two", 0.8, "t1-e2")]
    with pytest.raises(ValueError, match="data fingerprint differs, 'e1' and 'e2'"):
        clean_accuracies(folders)
    rows, reasons = clean_accuracies(folders, force=True)
    assert [row.name for row in rows] == ["taichi (one)", "taichi (two)"]
    assert conflict_table(rows, reasons).startswith("> **Not comparable:** data fingerprint")


def test_the_history_serves_where_there_are_no_results(tmp_path: Path) -> None:
    folder = tmp_path / "attacked"
    folder.mkdir()
    with pytest.raises(ValueError, match="has no accuracy or no number of evaluation texts"):
        clean_accuracies([folder])
    write_history_line(folder, {"epoch": 1.0, "step": 1, "accuracy": 0.75, "attacks": {}})
    (folder / "run_card.json").write_text(json.dumps({"data": {"eval_samples": 40}}))
    ((row,), _) = clean_accuracies([folder])
    assert (row.accuracy, row.samples, row.name) == (0.75, 40, "attacked")
