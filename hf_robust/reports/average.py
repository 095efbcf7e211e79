"""The front of averages between two models: clean against robust accuracy (TaiChi, Figure 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_robust.reports.curves import STYLE, plain
from hf_robust.reports.labels import label_points
from hf_robust.reports.looks import attack_looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def average_figure(points: Sequence[dict[str, Any]], beside: Sequence[dict[str, Any]] = ()) -> Figure:
    """A line for each attack through the averages, and the models beside them as hollow points, each by its name.

    Bars, in both directions: 95 % Wilson intervals of the examples that were attacked.

    Args:
        points: those of ``linear_average.json``, in rising order of lambda.
        beside: its ``beside``: other models under the same attacks.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    names = [name for name in points[0]["attacks"] if _has_rate([*points, *beside], name)]
    with rc_context(STYLE):
        figure = Figure(figsize=(4.8, 3.8), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        for name, (colour, marker) in attack_looks(points[0]["attacks"]).items():
            if name not in names:  # an attack that wants the prediction kept has no such rate
                continue
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "capsize": 2}
            _draw(axes, points, name, label=name, linewidth=1.0, **style)
            _draw(axes, beside, name, linestyle="none", markerfacecolor="white", elinewidth=0.7, **style)
        axes.set_xlabel("clean accuracy ↑")
        axes.set_ylabel("robust accuracy ↑")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False)
        figure.supxlabel(_caption(points, beside), fontsize=7, color="#555555")
        _label(axes, points, beside, names)
    return figure


def _has_rate(points: Sequence[dict[str, Any]], name: str) -> bool:
    return all(math.isfinite(point["attacks"][name]["robust_accuracy"]) for point in points)


def _draw(axes: Axes, points: Sequence[dict[str, Any]], name: str, **style: Any) -> None:
    if not points:
        return
    found = [point["attacks"][name] for point in points]
    x, y = [point["accuracy"] for point in points], [one["robust_accuracy"] for one in found]
    axes.errorbar(x, y, xerr=_errors(points, "accuracy"), yerr=_errors(found, "robust_accuracy"), **style)


def _errors(rates: Sequence[dict[str, Any]], key: str) -> list[list[float]]:
    """How far an interval reaches below and above a rate."""
    return [[abs(one[key] - one[f"{key}_{end}"]) for one in rates] for end in ("low", "high")]


def _label(
    axes: Axes, points: Sequence[dict[str, Any]], beside: Sequence[dict[str, Any]], names: Sequence[str]
) -> None:
    """Each model's name once, at its highest point: its points under all attacks stand above one another."""
    named = [*((f"{point['lambda']:g}", point) for point in points), *((plain(one["name"]), one) for one in beside)]
    heights = [(text, one, [one["attacks"][name]["robust_accuracy"] for name in names]) for text, one in named]
    labels = [(text, one["accuracy"], max(rates)) for text, one, rates in heights if rates]
    labels = [label for label in labels if math.isfinite(label[1])]
    label_points(axes, labels, [(one["accuracy"], rate) for _, one, rates in heights for rate in rates])


def _caption(points: Sequence[dict[str, Any]], beside: Sequence[dict[str, Any]]) -> str:
    counts = sorted({one["num_examples"] for point in (*points, *beside) for one in point["attacks"].values()})
    hollow = " Hollow: other models." if beside else ""
    return (
        f"Numbers: lambda, the clean model's share.{hollow}\nBars: 95 % intervals, "
        f"N = {' or '.join(f'{count:,}' for count in counts)}."
    )
