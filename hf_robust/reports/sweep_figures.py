"""Pictures of a sweep: rates over the value of a flag, and the Pareto front of two objectives.

BAT, Figures 4 and 8 to 12; AdaptAT, Figures 1 to 3; TaiChi, Figure 5. Bars are 95 % Wilson intervals for a single run,
± one sample standard deviation for several seeds.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hf_robust.reports.curves import STYLE, plain
from hf_robust.reports.fronts import draw_front, draw_point
from hf_robust.reports.palette import ACCURACY, MARKERS, attack_styles, point_style
from hf_robust.reports.sweeps import (
    METHOD,
    Setting,
    front_of,
    front_points,
    is_rate,
    metric_label,
    sweep_note,
    value_text,
)
from hf_robust.runs import Run, attack_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12
MOST_COLUMNS = 4
MOST_TICKS = 8
LETTERS_AN_INCH = 17
WIDE = 10.0
"""An axis is logarithmic if the ratio of its ends is at least this."""
MOST_NUMBERED = 30


def sweep_figure(
    settings: Sequence[Setting],
    x: Sequence[str],
    metrics: Sequence[str],
    panels: Sequence[str] = (),
    joined: bool = True,
) -> Figure:
    """A line for each metric over the values of a flag, one panel for each value of other flags.

    Args:
        settings: settings without a value of ``x`` are left out.
        x: flags of the x axis; several flags that change together are listed at every tick.
        metrics: the metrics to draw; clean accuracy is black.
        panels: flags with one panel for each value.
        joined: join the points by lines; only for numbers, and only if no other flag changes from point to point.

    Raises:
        ValueError: no setting has such a flag, or there would be more panels than MOST_PANELS.
    """
    from matplotlib import rc_context

    groups: dict[tuple[str, ...], list[Setting]] = {}
    for setting in settings:
        if all(flag in setting.flags for flag in x):
            groups.setdefault(tuple(_named(setting, flag) for flag in panels if flag in setting.flags), []).append(
                setting
            )
    if not groups:
        raise ValueError(f"no run has the flags {' and '.join(x)} of the x axis of a picture.")
    if len(groups) > MOST_PANELS:
        raise ValueError(
            f"a picture over {', '.join(x)} would have {len(groups)} panels, one for each {', '.join(panels)}; name "
            'fewer flags as its "panel".'
        )
    styles = metric_styles(metrics, [run for setting in settings for run in setting.runs])
    with rc_context(STYLE):
        figure, every = _panelled(len(groups))
        for axes, (title, group) in zip(every, groups.items(), strict=True):
            _draw_panel(axes, group, x, metrics, styles, joined)
            axes.set_title(plain(", ".join(title)), fontsize=9.5)
        _share_heights(every, metrics)
        _add_legend(figure, [metric_label(metric) for metric in metrics], styles)
        _add_caption(figure, settings)
    return figure


MetricStyle = tuple[str, str, Any]


def metric_styles(metrics: Sequence[str], runs: Sequence[Run]) -> list[MetricStyle]:
    """Colour, marker and line style of each metric; attacks have the same colour in every picture.

    Of several metrics of one attack, the first has the attack's marker and a solid line.
    """
    attacks = sorted({name for run in runs for name in attack_names(run.history)}, key=len, reverse=True)
    of = [next((name for name in attacks if one.removeprefix("eval_").startswith(f"{name}_")), one) for one in metrics]
    styles = attack_styles(of)
    by_metric = []
    for index, (metric, name) in enumerate(zip(metrics, of, strict=True)):
        colour, marker = ACCURACY if metric.removeprefix("eval_") == "accuracy" else styles[name]
        again = of[:index].count(name)
        shifted = MARKERS[(MARKERS.index(marker) + 3 * again) % len(MARKERS)] if again else marker
        by_metric.append((colour, shifted, "--" if again else "-"))
    return by_metric


def _draw_panel(
    axes: Axes, group: Sequence[Setting], x: Sequence[str], metrics: Sequence[str], styles: Sequence[Any], joined: bool
) -> None:
    places = _places(axes, group, x)
    joined = joined and all(_is_number(setting.flags[x[0]]) for setting in group)
    for (colour, marker, line), metric in zip(styles, metrics, strict=True):
        estimates = [(place, setting.estimate(metric)) for place, setting in zip(places, group, strict=True)]
        known = sorted((place, rate) for place, rate in estimates if rate.known)
        if not known:  # an unclipped line of nothing would spoil the layout
            continue
        axes.errorbar(
            [place for place, _ in known],
            [rate.value for _, rate in known],
            yerr=[[rate.value - rate.low for _, rate in known], [rate.high - rate.value for _, rate in known]],
            color=colour, marker=marker, markersize=4.5, linewidth=1.3, elinewidth=1.0, capsize=2.5,
            linestyle=line if joined else "none", clip_on=False, zorder=3,
        )  # fmt: skip
        for (place, rate), setting in zip(estimates, group, strict=True):
            if setting.guesses and rate.known:
                axes.plot(
                    place, rate.value, color=colour, marker=marker, markersize=4.5, markerfacecolor="white",
                    clip_on=False, zorder=4,
                )  # fmt: skip
    axes.set_xlabel(plain(", ".join(x)))


def _places(axes: Axes, group: Sequence[Setting], x: Sequence[str]) -> list[float]:
    """x position of each setting: its value if that is a single number, else its rank among the values."""
    values = [tuple(setting.flags[flag] for flag in x) for setting in group]
    if len(x) == 1 and all(_is_number(value) for (value,) in values):
        numbers = [float(value) for (value,) in values]
        distinct = sorted(set(numbers))
        if distinct[0] > 0 and distinct[-1] / distinct[0] >= WIDE:
            axes.set_xscale("log")
        if len(distinct) <= MOST_TICKS:
            axes.set_xticks(distinct, [f"{number:g}" for number in distinct])
            axes.minorticks_off()
        return numbers
    order = sorted(set(map(_sortable, values)))
    texts = {_sortable(value): "\n".join(map(value_text, value)) for value in values}
    axes.set_xticks(range(len(order)), [plain(texts[one]) for one in order])
    return [float(order.index(_sortable(value))) for value in values]


def _sortable(values: Sequence[Any]) -> tuple[tuple[int, float, str], ...]:
    return tuple((0, float(v), "") if _is_number(v) else (1, 0.0, value_text(v)) for v in values)


def _share_heights(every: Sequence[Axes], metrics: Sequence[str]) -> None:
    from matplotlib.ticker import PercentFormatter

    rates = all(map(is_rate, metrics))
    limits = [axes.get_ylim() for axes in every]
    for axes in every:
        if rates:
            axes.set_ylim(0, 1)
            axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        else:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    every[0].set_ylabel("rate" if rates else "")


def front_figure(settings: Sequence[Setting], objectives: Mapping[str, bool]) -> Figure:
    """Scatter plot of two objectives, with the Pareto front ringed and joined.

    Each method has a colour; the numbers beside the points are the values of the other flags. With more than
    MOST_NUMBERED settings only those on the front have numbers.

    Args:
        objectives: two metrics, each with True if more is better; the first is the x axis.
    """
    from matplotlib import rc_context

    x, y = objectives
    points = [(setting.estimate(x), setting.estimate(y)) for setting in settings]
    methods = list(dict.fromkeys(_method(setting) for setting in settings))
    flags = [flag for flag in dict.fromkeys(flag for one in settings for flag in one.flags) if flag != METHOD]
    numbered = range(len(settings)) if len(settings) <= MOST_NUMBERED else front_of(settings, objectives)
    with rc_context(STYLE):
        figure, (axes,) = _panelled(1, width=4.2)
        for setting, (first, second) in zip(settings, points, strict=True):
            draw_point(axes, first, second, *point_style(methods.index(_method(setting))), hollow=setting.guesses)
        for index in numbered:
            text = ", ".join(
                value_text(settings[index].flags[flag]) for flag in flags if flag in settings[index].flags
            )
            place = (points[index][0].value, points[index][1].value)
            if all(map(math.isfinite, place)):
                axes.annotate(plain(text), place, xytext=(4, 4), textcoords="offset points", fontsize=6.5, zorder=5)
        draw_front(
            axes, [(first, second) for first, second in front_points(settings, objectives)], tuple(objectives.values())
        )
        _label_front(axes, x, y)
        if any(methods):
            _add_legend(figure, methods, [(*point_style(index), "-") for index in range(len(methods))])
        numbers = f"Numbers: {', '.join(flags)}. " if flags else ""
        _add_caption(figure, settings, f"{numbers}Dashed line: Pareto front. ")
    return figure


def _label_front(axes: Axes, x: str, y: str) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set_xlabel(metric_label(x))
    axes.set_ylabel(metric_label(y))
    for axis, metric in ((axes.xaxis, x), (axes.yaxis, y)):
        axis.set_major_locator(MaxNLocator(6))
        if is_rate(metric):
            axis.set_major_formatter(PercentFormatter(xmax=1))


def _panelled(count: int, width: float = 2.9) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels, at most four per row, and room for a legend on the right."""
    from matplotlib.figure import Figure

    columns = min(MOST_COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns + 1.9, 2.6 * rows + 0.7), dpi=200, layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in every[count:]:
        spare.remove()
    return figure, every[:count]


def _add_legend(figure: Figure, names: Sequence[str], styles: Sequence[MetricStyle]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle=line, markersize=4.5, linewidth=1.2, label=plain(name))
        for name, (colour, marker, line) in zip(names, styles, strict=True)
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)


def _add_caption(figure: Figure, settings: Sequence[Setting], text: str = "") -> None:
    """Add a caption with the meaning of the bars and the numbers of examples."""
    if any(setting.guesses for setting in settings):
        text += "Hollow: a run is not, or hardly, better than guessing. "
    text += sweep_note(
        settings, "Bars: 95% Wilson interval of a single run, ± one sample standard deviation of several runs."
    )
    lines = textwrap.wrap(text, int(figure.get_figwidth() * LETTERS_AN_INCH))
    figure.supxlabel("\n".join(lines), fontsize=7, color="#555555", linespacing=1.35)


def _method(setting: Setting) -> str:
    return str(setting.flags.get(METHOD, ""))


def _named(setting: Setting, flag: str) -> str:
    value = value_text(setting.flags[flag])
    return value if flag == METHOD else f"{flag} {value}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
