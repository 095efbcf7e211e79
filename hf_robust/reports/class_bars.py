"""Picture of precision, recall and F1 of each class on each slice, for two models (GradMask, Section 5)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hf_robust.metrics import ClassScores, SliceReport
from hf_robust.reports.curves import STYLE
from hf_robust.reports.palette import COLOURS
from hf_robust.reports.transition import class_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SCORES = {"precision": "precision", "recall": "recall", "f1": "F1"}
_WIDTH, _LETTERS = 0.38, 24
"""Width of a bar; number of letters of all class names above which the names are rotated."""


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
        panels = figure.subplots(len(shown), len(_SCORES), sharex=True, sharey=True, squeeze=False)
        for row, (name, report) in enumerate(shown.items()):
            for column, score in enumerate(_SCORES):
                _draw(panels[row][column], report, score, label_names)
            panels[row][0].set_ylabel(f"{name}\nn = {report.transition.num_examples:,}")
        for column, score_name in enumerate(_SCORES.values()):
            panels[0][column].set_title(f"{score_name} ↑", fontsize=9)
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
        caption = "No bar: the class was never predicted (precision) or has no example (recall)."
        figure.supxlabel(caption, fontsize=7, color="#555555")
    return figure


def _draw(axes: Axes, report: SliceReport, score: str, label_names: Sequence[str]) -> None:
    from matplotlib.ticker import PercentFormatter

    for side, (model, colour) in enumerate((("baseline", COLOURS[6]), ("new", COLOURS[1]))):
        scores: Mapping[int, ClassScores] = getattr(report, model)
        heights = [getattr(one, score) for one in scores.values()]
        places = [place + (side - 0.5) * _WIDTH for place in range(len(heights))]
        known = [height if math.isfinite(height) else 0.0 for height in heights]
        axes.bar(places, known, width=_WIDTH, color=colour, label=model)
    names = [class_name(label, label_names) for label in report.baseline]
    turned = sum(map(len, names)) > _LETTERS
    axes.set_xticks(
        range(len(names)), names, fontsize=7, rotation=30 if turned else 0, ha="right" if turned else "center"
    )
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(visible=False, axis="x")
