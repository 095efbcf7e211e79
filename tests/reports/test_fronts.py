"""The pictures over several methods: fronts of accuracy and robustness, and curves over one another."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folders import make_run

from hf_robust.metrics import wilson_interval
from hf_robust.reports.curves import plain
from hf_robust.reports.fronts import front_attacks, robustness_fronts
from hf_robust.reports.overlays import has_curves, overlaid_curves
from hf_robust.runs import load_run


def lines(axes: object) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]  # type: ignore[attr-defined]


def test_points_bars_and_the_front(tmp_path: Path) -> None:
    """The second run is beaten by the first in both rates; the others are on the front."""
    rates = [("normal", 0.9, 20), ("safer", 0.8, 10), ("pgd", 0.85, 60)]
    runs = [load_run(make_run(tmp_path / name, [(5, ok)], method=name, accuracy=acc)) for name, acc, ok in rates]
    (axes,) = robustness_fronts(runs).axes
    *points, front, rings = lines(axes)
    assert points == [([pytest.approx(acc)], [pytest.approx(ok / 100)]) for _, acc, ok in rates]
    assert front == rings == (pytest.approx([0.85, 0.9]), pytest.approx([0.6, 0.2]))
    vertical, horizontal = axes.collections[:2]
    assert vertical.get_segments()[0][:, 1] == pytest.approx(wilson_interval(20, 100))
    assert horizontal.get_segments()[0][:, 0] == pytest.approx(wilson_interval(180, 200))


def test_seeds_are_one_point_with_their_deviation(tmp_path: Path) -> None:
    runs = [load_run(make_run(tmp_path / str(n), [(5, ok)], seed=n)) for n, ok in enumerate((40, 50, 60))]
    (axes,) = robustness_fronts(runs).axes
    assert axes.collections[0].get_segments()[0][:, 1] == pytest.approx([0.4, 0.6])


def test_attacks_without_robust_accuracy_have_no_panel(tmp_path: Path) -> None:
    runs = [load_run(make_run(tmp_path / "a", [(1, 1), (1, 1)], [(1, 1), (1, 1)]))]
    assert front_attacks(runs) == ["synonym"]
    assert [axes.get_title() for axes in overlaid_curves(runs).axes] == [
        "clean accuracy ↑", "synonym ASR ↓", "antonym ASR ↓",
    ]  # fmt: skip


def test_curves_of_every_run_lie_in_each_panel(tmp_path: Path) -> None:
    runs = [load_run(make_run(tmp_path / str(n), [(1, 3), (2, 2)], seed=n)) for n in range(2)]
    single = load_run(make_run(tmp_path / "single", [(3, 1)], method="safer"))
    accuracy, synonym = overlaid_curves([*runs, single]).axes
    assert lines(accuracy) == [([1.0, 2.0], pytest.approx([0.8, 0.81]))] * 2 + [([1.0], [0.8])]
    assert lines(synonym) == [([1.0, 2.0], [0.25, 0.5])] * 2 + [([1.0], [0.75])]
    colours = [line.get_color() for line in synonym.lines]
    assert colours[0] == colours[1] != colours[2]
    assert has_curves([*runs, single]) and not has_curves([single])


def test_names_are_shown_as_they_are() -> None:
    assert plain("_a") == " _a" and plain("$x$") == r"\$x\$" and len(plain("n" * 90)) == 48
