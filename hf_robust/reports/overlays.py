"""Curves of each method per epoch in shared panels: clean accuracy, and each attack's success rate.

Seeds of one method are one curve, their mean with a band of one standard deviation (BAT, figures 3 and 6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hf_robust.reports.aims import rated_attacks
from hf_robust.reports.curves import STYLE, accuracy_bounds, curve_accuracy, draw_series, plain
from hf_robust.reports.fronts import add_legend, panelled
from hf_robust.reports.groups import group_by_seed
from hf_robust.reports.palette import point_style
from hf_robust.reports.points import Rate, over_runs, rate_of
from hf_robust.runs import HistoryLine, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OVERLAYS_STEM = "epochs"
OVERLAYS_NOTE = (
    "Lines with markers and bands: mean over the seeds of a method ± one sample standard deviation, at the epochs "
    "that all of them measured; each seed is a thin line. A method with one seed has 95 % Wilson intervals as its "
    "band if there are at most 4 methods."
)
_FEW = 4
"""Number of methods up to which a single run has its band; the bands of more hide each other."""

RateOfLine = Callable[[Run, HistoryLine], Rate]


def has_curves(runs: Sequence[Run]) -> bool:
    """Whether any run was measured more than once."""
    return any(len(run.history) > 1 for run in runs)


def overlaid_curves(runs: Sequence[Run]) -> Figure:
    """Curves of all methods; see ``OVERLAYS_NOTE`` for lines and bands."""
    from matplotlib import rc_context

    groups = group_by_seed(runs)
    attacks = rated_attacks(runs)
    with rc_context(STYLE):
        figure, panels = panelled(1 + len(attacks), len(groups))
        first, *others = panels
        _draw_panel(first, groups, _accuracy)
        first.set_title("clean accuracy ↑", fontsize=9.5)
        for attack, axes in zip(attacks, others, strict=True):
            _draw_panel(axes, groups, _success(attack))
            axes.set_title(f"{plain(attack)} ASR ↓", fontsize=9.5)
        add_legend(figure, groups)
    return figure


def mean_curve(group: Sequence[Run], rate: RateOfLine) -> dict[float, Rate]:
    """Rates by epoch: of a single run as they are; of several, the mean ± one sample standard deviation.

    Epochs at which a rate of some seed is unknown are left out, since a mean over fewer seeds would not be comparable
    with those beside it.
    """
    if len(group) == 1:
        return {float(line["epoch"]): rate(group[0], line) for line in group[0].history}
    by_epoch: dict[float, list[Rate]] = {}
    for run in group:
        for line in run.history:
            by_epoch.setdefault(float(line["epoch"]), []).append(rate(run, line))
    return {
        epoch: over_runs(rates)
        for epoch, rates in sorted(by_epoch.items())
        if sum(one.known for one in rates) == len(group)
    }


def _draw_panel(axes: Axes, groups: Sequence[Sequence[Run]], rate: RateOfLine) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for index, group in enumerate(groups):
        colour, marker = point_style(index)
        if len(group) > 1:
            for run in group:
                values = [rate(run, line).value for line in run.history]
                axes.plot([line["epoch"] for line in run.history], values, color=colour, linewidth=0.6, alpha=0.45)
        curve = mean_curve(group, rate)
        with_band = len(group) > 1 or len(groups) <= _FEW
        bounds = [(one.low, one.high) if with_band else (math.nan, math.nan) for one in curve.values()]
        values = [one.value for one in curve.values()]
        draw_series(axes, list(curve), values, bounds, colour, marker, "-", faint=len(groups) > 1)
    axes.set_xlabel("epoch")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def _accuracy(run: Run, line: HistoryLine) -> Rate:
    value = curve_accuracy(run, line)
    return Rate(value, *accuracy_bounds(value, run.eval_samples))


def _success(attack: str) -> RateOfLine:
    return lambda run, line: rate_of(line["attacks"].get(attack, {}), "asr")
