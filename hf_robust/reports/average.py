"""The front of averages between two models: clean against robust accuracy (TaiChi, Figure 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_robust.reports.curves import STYLE
from hf_robust.reports.looks import attack_looks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def average_figure(points: Sequence[dict[str, Any]]) -> Figure:
    """A line for each attack through the averages, each marked by its lambda; bars are 95 % Wilson intervals.

    ``points`` are those of ``linear_average.json``, in rising order of lambda.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    with rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3.4), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        clean = [point["accuracy"] for point in points]
        for name, (colour, marker) in attack_looks(points[0]["attacks"]).items():
            found = [point["attacks"][name] for point in points]
            robust = [one["robust_accuracy"] for one in found]
            if not all(map(math.isfinite, robust)):  # an attack that wants the prediction kept has none
                continue
            errors = [
                [abs(one["robust_accuracy"] - one[f"robust_accuracy_{end}"]) for one in found]
                for end in ("low", "high")
            ]
            style: dict[str, Any] = {"color": colour, "marker": marker}
            axes.errorbar(clean, robust, yerr=errors, label=name, capsize=2, linewidth=1.0, markersize=4, **style)
            for point, x, y in zip(points, clean, robust, strict=True):
                axes.annotate(f"{point['lambda']:g}", (x, y), (4, 4), textcoords="offset points", fontsize=7)
        axes.set_xlabel("clean accuracy ↑")
        axes.set_ylabel("robust accuracy ↑")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.legend(fontsize=8)
        counts = sorted({f"{one['num_examples']:,}" for point in points for one in point["attacks"].values()})
        caption = f"Numbers: lambda, the clean model's share. Bars: 95% intervals, N = {' or '.join(counts)}."
        figure.supxlabel(caption, fontsize=7, color="#555555")
    return figure
