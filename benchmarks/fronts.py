"""Accuracy-robustness fronts of a sweep (AdaptAT, Figures 1 to 3): one line for each method.

Left: the step size alpha grows at one number of steps k. Right: k grows at one product k * alpha. Hollow points are
trainings that collapsed: their robust accuracy is that of a constant answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.sweep import ATTACK, Point, alpha_line, by_method, k_line
from hf_robust.metrics import wilson_interval
from hf_robust.reports import save_figure
from hf_robust.reports.curves import STYLE
from hf_robust.reports.fronts import draw_point, label_front
from hf_robust.reports.palette import point_style
from hf_robust.reports.points import Rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRONTS_STEM = "fronts"


def draw_fronts(points: Sequence[Point], folder: Path) -> list[Path]:
    """Write ``fronts.png`` and ``fronts.svg`` into the folder; nothing where nothing was run."""
    return save_figure(fronts_figure(points), folder, FRONTS_STEM) if points else []


def fronts_figure(points: Sequence[Point]) -> Figure:
    """Two panels of clean accuracy against robust accuracy, one where no number of steps was swept."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    methods = by_method(points)
    panels = [(alpha_line, "alpha", "k = {0.steps}, alpha grows"), (k_line, "k", "k · alpha = {0.product:g}, k grows")]
    drawn = [(line, label, title) for line, label, title in panels if any(map(line, methods.values()))]
    with rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(drawn) + 1.4, 3.9), dpi=200, layout="constrained")
        every = figure.subplots(1, len(drawn), squeeze=False)[0]
        for axes, (line, label, title) in zip(every, drawn, strict=True):
            shown = _draw_panel(axes, methods, line, label)
            axes.set_title(title.format(shown[0]), fontsize=9.5)
        label_front(every, ATTACK)
        handles, names = every[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", frameon=False, fontsize=8, handlelength=2.6)
        figure.supxlabel(_caption(points), fontsize=7, color="#555555", linespacing=1.35)
    return figure


def _draw_panel(
    axes: Axes,
    methods: dict[str, list[Point]],
    line_of: Callable[[Sequence[Point]], list[Point]],
    label: str,
) -> list[Point]:
    """Draw the line of each method and return all their points."""
    shown = []
    for index, (name, points) in enumerate(methods.items()):
        line = line_of(points)
        colour, marker = point_style(index)
        _draw_line(axes, line, name, colour, marker)
        for one in line:
            text = f"{one.alpha:g}" if label == "alpha" else f"{one.steps}"
            axes.annotate(
                text, (one.accuracy, one.robust_accuracy), xytext=(3, 3), textcoords="offset points",
                fontsize=6.5, color=colour, zorder=5,
            )  # fmt: skip
        shown += line
    return shown


def _draw_line(axes: Axes, line: Sequence[Point], name: str, colour: str, marker: str) -> None:
    for points, style in ((line, ":"), ([one for one in line if not one.collapsed], "-")):
        accuracy, robust = [one.accuracy for one in points], [one.robust_accuracy for one in points]
        axes.plot(accuracy, robust, color=colour, linewidth=1.3 if style == "-" else 0.7, linestyle=style, zorder=3)
    # A point drawn for the legend, since those of the line are filled one by one.
    axes.plot([], [], color=colour, marker=marker, markersize=4, label=name)
    for one in line:
        robust = _rate(one.robust_accuracy, one.examples)
        draw_point(axes, _rate(one.accuracy, one.eval_samples), robust, colour, marker, hollow=one.collapsed)


def _rate(value: float, examples: int) -> Rate:
    return Rate(value, *wilson_interval(round(value * examples), examples))


def _caption(points: Sequence[Point]) -> str:
    seeds = sorted({one.seeds for one in points})
    over = "one seed" if seeds == [1] else f"means over {' or '.join(map(str, seeds))} seeds"
    text = (
        f"Numbers at the points: alpha (left), k (right). Lines: 95% Wilson intervals; N = {points[0].eval_samples:,} "
        f"for accuracy, {points[0].examples:,} for the attack; {over}."
    )
    return f"{text}\nHollow: near chance." if any(one.collapsed for one in points) else text
