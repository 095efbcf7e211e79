"""Pictures of precision, recall and F1 of each class: two models on slices (GradMask, Section 5), and any methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hf_robust.metrics import SliceReport
from hf_robust.reports.curves import STYLE, plain
from hf_robust.reports.palette import COLOURS, point_style
from hf_robust.reports.points import UNKNOWN, Rate
from hf_robust.reports.transition import class_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCORES = {"precision": "precision", "recall": "recall", "f1": "F1"}
_GROUP, _LETTERS = 0.76, 24
"""Width of the bars of one class; number of letters of all class names above which a narrow panel rotates them."""
_NO_BAR = "No bar: the class was never predicted (precision) or has no example (recall)."


def class_figure(reports: Mapping[str, SliceReport], label_names: Sequence[str] = ()) -> Figure:
    """One row of panels for each non-empty slice, one panel for each score, two bars for each class.

    Args:
        reports: reports by slice name (`hf_robust.metrics.error_transition`).
        label_names: names by label id; unknown names are replaced by ids.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = {name: report for name, report in reports.items() if report.transition.num_examples}
    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 1.5 + 1.1 * len(shown)), dpi=200, layout="constrained")
        panels = figure.subplots(len(shown), len(SCORES), sharex=True, sharey=True, squeeze=False)
        for row, (name, report) in enumerate(shown.items()):
            names = [class_name(label, label_names) for label in report.baseline]
            for column, score in enumerate(SCORES):
                bars = {
                    model: (colour, [_as_rate(getattr(one, score)) for one in getattr(report, model).values()])
                    for model, colour in (("baseline", COLOURS[6]), ("new", COLOURS[1]))
                }
                _draw_bars(panels[row][column], bars, names)
            panels[row][0].set_ylabel(f"{name}\nn = {report.transition.num_examples:,}")
        for column, score_name in enumerate(SCORES.values()):
            panels[0][column].set_title(f"{score_name} ↑", fontsize=9)
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
        figure.supxlabel(_NO_BAR, fontsize=7, color="#555555")
    return figure


def _as_rate(value: float) -> Rate:
    return Rate(value, value, value)


def methods_class_figure(methods: Mapping[str, Mapping[str, Mapping[str, Rate]]]) -> Figure:
    """One panel for each score, with one bar for each method and class; error bars are those of the rates.

    Args:
        methods: rates by score (``precision``, ``recall``, ``f1``) by class by method.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for classes in methods.values() for name in classes))
    nothing = dict.fromkeys(SCORES, UNKNOWN)
    with rc_context(STYLE):
        width = min(max(6.8, 0.12 * len(names) * (len(methods) + 1)), 16.0)
        figure = Figure(figsize=(width, 5.6), dpi=200, layout="constrained")
        panels = figure.subplots(len(SCORES), 1, sharex=True, sharey=True)
        for axes, (score, title) in zip(panels, SCORES.items(), strict=True):
            bars = {
                plain(method): (point_style(index)[0], [classes.get(name, nothing)[score] for name in names])
                for index, (method, classes) in enumerate(methods.items())
            }
            _draw_bars(axes, bars, [plain(name) for name in names], letters=len(SCORES) * _LETTERS)
            axes.set_ylabel(f"{title} ↑")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
        caption = f"Thin lines: one sample standard deviation over seeds. {_NO_BAR}"
        figure.supxlabel(caption, fontsize=7, color="#555555")
    return figure


def _draw_bars(
    axes: Axes, bars: Mapping[str, tuple[str, Sequence[Rate]]], names: Sequence[str], letters: int = _LETTERS
) -> None:
    """Bars side by side for each name: colour and rates by the label of the legend."""
    from matplotlib.ticker import PercentFormatter

    width = _GROUP / len(bars)
    for side, (label, (colour, rates)) in enumerate(bars.items()):
        places = [place + (side - (len(bars) - 1) / 2) * width for place in range(len(rates))]
        heights = [rate.value if rate.known else 0.0 for rate in rates]
        axes.bar(places, heights, width=width, color=colour, label=label)
        for place, rate in zip(places, rates, strict=True):
            if rate.low < rate.high:
                axes.vlines(place, rate.low, rate.high, color="#333333", linewidth=0.8)
    turned = sum(map(len, names)) > letters
    axes.set_xticks(
        range(len(names)), names, fontsize=7, rotation=30 if turned else 0, ha="right" if turned else "center"
    )
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(visible=False, axis="x")
