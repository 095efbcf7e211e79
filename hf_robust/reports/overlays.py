"""Curves of all runs in shared panels: one panel for clean accuracy and one for each attack's success rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hf_robust.reports.aims import rated_attacks
from hf_robust.reports.curves import STYLE, accuracy_bounds, curve_accuracy, draw_series, plain
from hf_robust.reports.fronts import add_legend, panelled
from hf_robust.reports.groups import group_by_seed
from hf_robust.reports.palette import point_style
from hf_robust.reports.points import Rate, rate_of
from hf_robust.runs import HistoryLine, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OVERLAYS_STEM = "epochs"
_FEW = 4


def has_curves(runs: Sequence[Run]) -> bool:
    """Whether any run was measured more than once."""
    return any(len(run.history) > 1 for run in runs)


def overlaid_curves(runs: Sequence[Run]) -> Figure:
    """Curves of all runs; seeds of one method share colour and marker. Bands are drawn only for a few runs."""
    from matplotlib import rc_context

    groups = group_by_seed(runs)
    attacks = rated_attacks(runs)
    with rc_context(STYLE):
        figure, panels = panelled(1 + len(attacks), len(groups))
        first, *others = panels
        _draw_panel(first, groups, _accuracy, len(runs))
        first.set_title("clean accuracy ↑", fontsize=9.5)
        for attack, axes in zip(attacks, others, strict=True):
            _draw_panel(axes, groups, _success(attack), len(runs))
            axes.set_title(f"{plain(attack)} ASR ↓", fontsize=9.5)
        add_legend(figure, groups)
    return figure


def _draw_panel(
    axes: Axes, groups: Sequence[Sequence[Run]], rate: Callable[[Run, HistoryLine], Rate], count: int
) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for index, group in enumerate(groups):
        for run in group:
            rates = [rate(run, line) for line in run.history]
            bounds = [(one.low, one.high) if count <= _FEW else (math.nan, math.nan) for one in rates]
            epochs = [float(line["epoch"]) for line in run.history]
            draw_series(axes, epochs, [one.value for one in rates], bounds, *point_style(index), "-", faint=count > 1)
    axes.set_xlabel("epoch")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def _accuracy(run: Run, line: HistoryLine) -> Rate:
    value = curve_accuracy(run, line)
    return Rate(value, *accuracy_bounds(value, run.eval_samples))


def _success(attack: str) -> Callable[[Run, HistoryLine], Rate]:
    return lambda run, line: rate_of(line["attacks"].get(attack, {}), "asr")
