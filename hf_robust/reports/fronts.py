"""Picture of clean accuracy against robust accuracy of each method, with the Pareto front.

The front is a step line: every point to its lower left is dominated by a method of the report. Differences smaller
than the bars may be chance, also between a point on the front and one next to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_robust.metrics import pareto_front
from hf_robust.reports.aims import robust_accuracy_applies
from hf_robust.reports.curves import STYLE, plain
from hf_robust.reports.groups import group_by_seed, group_names
from hf_robust.reports.guessing import dagger
from hf_robust.reports.palette import point_style
from hf_robust.reports.points import Rate, attack_rate, clean_rate, over_runs
from hf_robust.runs import Run, attack_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRONTS_STEM = "fronts"
_COLUMNS = 3


def front_attacks(runs: Sequence[Run]) -> list[str]:
    """Attacks with a meaningful robust accuracy in every run."""
    names = dict.fromkeys(name for run in runs for name in attack_names(run.history))
    return [name for name in names if all(robust_accuracy_applies(run, name) for run in runs)]


def robustness_fronts(runs: Sequence[Run]) -> Figure:
    """One panel for each attack, one point for each group of runs that differ only in their seed.

    Clean accuracy is that on the examples of the attack, an upper bound of the robust accuracy. Bars in both
    directions are 95 % Wilson intervals for a single run, one sample standard deviation for several seeds.
    """
    from matplotlib import rc_context

    groups = group_by_seed(runs)
    attacks = front_attacks(runs)
    with rc_context(STYLE):
        figure, panels = panelled(len(attacks), len(groups))
        for attack, axes in zip(attacks, panels, strict=True):
            points = [
                (
                    over_runs(clean_rate(run, attack) for run in group),
                    over_runs(attack_rate(run, attack, "robust_accuracy") for run in group),
                )
                for group in groups
            ]
            for index, (accuracy, robust) in enumerate(points):
                draw_point(axes, accuracy, robust, *point_style(index), hollow=bool(dagger(groups[index])))
            # Models that guess are not part of the front.
            draw_front(axes, [point for group, point in zip(groups, points, strict=True) if not dagger(group)])
            axes.set_title(plain(attack), fontsize=9.5)
        label_front(panels)
        add_legend(figure, groups)
    return figure


def panelled(count: int, names: int) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels, at most three per row, and room below for a legend of ``names`` names."""
    from matplotlib.figure import Figure

    columns = 2 if count == 4 else min(_COLUMNS, count)
    rows = -(-count // columns)
    width = max(3.2 * columns, 5.0)
    lines = -(-names // legend_columns(width))
    figure = Figure(figsize=(width, 2.9 * rows + 0.2 * lines + 0.2), dpi=200, layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in every[count:]:
        spare.remove()
    return figure, every[:count]


def legend_columns(width: float) -> int:
    """Number of legend columns below a figure of this width in inches."""
    return max(1, int(width // 2.4))


def add_legend(figure: Figure, groups: Sequence[Sequence[Run]]) -> None:
    """Add a legend of all groups of runs below the panels."""
    from matplotlib.lines import Line2D

    handles = []
    for index, (name, group) in enumerate(zip(group_names(groups), groups, strict=True)):
        colour, marker = point_style(index)
        name += dagger(group)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=4.5, linewidth=1.2, label=plain(name)))
    columns = legend_columns(float(figure.get_figwidth()))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def draw_point(axes: Axes, accuracy: Rate, robust: Rate, colour: str, marker: str, hollow: bool = False) -> None:
    """Draw one method with its bars; nothing if one of its rates is unknown."""
    if not (accuracy.known and robust.known):
        return
    bars: Any = {"color": colour, "alpha": 0.35, "linewidth": 1.0, "zorder": 2}
    axes.vlines(accuracy.value, robust.low, robust.high, **bars)
    axes.hlines(robust.value, accuracy.low, accuracy.high, **bars)
    axes.plot(
        accuracy.value, robust.value, color=colour, marker=marker, markersize=4.5,
        markerfacecolor="white" if hollow else colour, markeredgewidth=0.9, zorder=4,
    )  # fmt: skip


def draw_front(axes: Axes, points: Sequence[tuple[Rate, Rate]], maximize: Sequence[bool] = (True, True)) -> None:
    """Draw the Pareto front: its points are ringed and joined by a step line."""
    front = pareto_front([(accuracy.value, robust.value) for accuracy, robust in points], maximize)
    places = sorted((points[index][0].value, points[index][1].value) for index in front)
    x, y = [place for place, _ in places], [height for _, height in places]
    steps = "steps-pre" if maximize[0] else "steps-post"
    axes.plot(x, y, drawstyle=steps, color="#777777", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    axes.plot(x, y, linestyle="none", marker="o", markersize=9, markerfacecolor="none", color="#777777", zorder=1)


def label_front(every: Sequence[Axes], attack: str = "") -> None:
    """Label both axes in percent; robust accuracy starts at 0."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for axes in every:
        axes.set_xlabel("clean accuracy ↑")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(xmax=1))
            axis.set_major_locator(MaxNLocator(6))
        axes.set_ylim(bottom=0)
    every[0].set_ylabel(f"{attack} robust accuracy ↑".strip())
