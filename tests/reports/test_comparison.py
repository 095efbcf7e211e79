"""The picture over several runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folders import attack_line, make_run

from hf_robust.reports import IncomparableRunsError, comparison_figure, draw_comparison, load_run


def test_points_and_bars(tmp_path: Path) -> None:
    seeds = [make_run(tmp_path / f"s{n}", [pair], seed=n) for n, pair in enumerate([(40, 40), (44, 36), (36, 44)])]
    single = make_run(tmp_path / "single", [(20, 60)], [(8, 72)], method="safer")
    figure = comparison_figure([load_run(run) for run in [*seeds, single]])
    (axes,) = figure.axes
    several, one = axes.containers
    assert list(several.lines[0].get_ydata()) == pytest.approx([0.8, 0.5])
    (bars,) = several.lines[2]
    assert bars.get_segments()[1][:, 1] == pytest.approx([0.45, 0.55])  # 50, 55 and 45 %
    assert list(one.lines[0].get_ydata()) == pytest.approx([0.8, 0.25, 0.1])
    rates = attack_line(20, 60, 100)
    assert one.lines[2][0].get_segments()[1][:, 1] == pytest.approx([rates["asr_low"], rates["asr_high"]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["normal, 3 seeds", "safer"]
    assert [label.get_text() for label in axes.get_xticklabels()][1:] == ["synonym\nASR ↓", "antonym\nASR ↓"]


def test_runs_that_do_not_compare_are_refused(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", [(1, 3)]), make_run(tmp_path / "b", [(1, 3)], data={"fingerprint": "g"})]
    with pytest.raises(IncomparableRunsError):
        draw_comparison(runs, tmp_path / "out")
    assert [path.name for path in draw_comparison(runs, tmp_path / "out", force=True)] == [
        "comparison.png",
        "comparison.svg",
    ]


def test_groups_of_one_method_are_told_apart(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, [(1, 3)], config={"alpha": name}) for name in ("low", "high")]
    figure = comparison_figure([load_run(run) for run in runs])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["normal (low)", "normal (high)"]
