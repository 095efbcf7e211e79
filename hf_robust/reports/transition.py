"""Tables and picture of error transitions: errors that a new model fixes, introduces or keeps (GradMask, Figure 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hf_robust.metrics import SliceReport, wilson_interval
from hf_robust.reports.cells import markdown_table, percent
from hf_robust.reports.curves import STYLE
from hf_robust.reports.palette import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PARTS = {"fixed": COLOURS[2], "introduced": COLOURS[0], "remaining": COLOURS[6]}
_NARROW = 0.07


def transition_tables(reports: Mapping[str, SliceReport], label_names: Sequence[str] = ()) -> str:
    """Markdown with warnings, a table with a row for each slice, and a table with a row for each class of each slice.

    Args:
        reports: reports by slice name (`hf_robust.metrics.error_transition`).
        label_names: names by label id; unknown names are replaced by ids.
    """
    doubtful = [
        f"> **Doubtful:** the baseline is correct on only {percent(report.transition.baseline_accuracy)} % of "
        f"{name!r}; make sure that both models read text pairs as pairs and use the same label ids.\n"
        for name, report in reports.items()
        if report.doubtful
    ]
    return "\n".join(["".join(doubtful), _slices(reports), _LEGEND, _classes(reports, label_names)]).lstrip("\n")


def transition_figure(reports: Mapping[str, SliceReport], title: str) -> Figure:
    """One bar for each slice, divided like the pie charts of the paper: shares of the errors of either model."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 1.5 + 0.5 * len(reports)), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        for row, report in enumerate(reports.values()):
            _draw_bar(axes, row, report)
        _label_axes(axes, reports)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
        figure.suptitle(title, fontsize=10.5)
        caption = (
            "Shares of the texts that at least one model gets wrong; numbers count texts. p: McNemar's exact test."
        )
        figure.supxlabel(caption, fontsize=7, color="#555555")
    return figure


_LEGEND = (
    "Rates in percent; accuracy with 95 % Wilson intervals. Shares of the union: shares of the texts that at least "
    "one model gets wrong. Fix rate: share of the baseline's errors. Introduction rate: share of the baseline's "
    "correct texts. p: McNemar's exact test.\n"
)


def _slices(reports: Mapping[str, SliceReport]) -> str:
    header = ["slice", "texts", "baseline accuracy", "new accuracy", "fixed", "introduced", "remaining"]
    header += ["shares of the union", "fix rate", "introduction rate", "errors after / before", "p"]
    rows = []
    for name, report in reports.items():
        counted = report.transition
        accuracies = [
            percent(rate, wilson_interval(correct + counted.kept, counted.num_examples))
            for rate, correct in (
                (counted.baseline_accuracy, counted.introduced),
                (counted.new_accuracy, counted.fixed),
            )
        ]
        counts = [str(counted.num_examples), *accuracies, *(str(getattr(counted, part)) for part in _PARTS)]
        shares = " / ".join(map(percent, counted.shares().values()))
        rates = [percent(counted.fix_rate), percent(counted.introduction_rate), _decimals(counted.error_ratio)]
        rows.append([name, *counts, shares, *rates, f"{counted.mcnemar_p:.3g}"])
    return markdown_table(header, rows)


def _classes(reports: Mapping[str, SliceReport], label_names: Sequence[str]) -> str:
    rows = []
    for name, report in reports.items():
        for label in report.baseline:
            label_name = class_name(label, label_names)
            for model, scores in (("baseline", report.baseline[label]), ("new", report.new[label])):
                rows.append([name, label_name, model, *map(percent, (scores.precision, scores.recall, scores.f1))])
    return markdown_table(["slice", "class", "model", "precision", "recall", "F1"], rows)


def class_name(label: int, label_names: Sequence[str]) -> str:
    """Name of a label id; the id itself if the name is unknown."""
    return label_names[label] if 0 <= label < len(label_names) else str(label)


def _draw_bar(axes: Axes, row: int, report: SliceReport) -> None:
    start, first = 0.0, row == 0
    for part, share in report.transition.shares().items():
        share = share if math.isfinite(share) else 0.0
        axes.barh(row, share, left=start, height=0.62, color=_PARTS[part], label=part if first else None)
        if share > _NARROW:
            count = str(getattr(report.transition, part))
            axes.text(start + share / 2, row, count, ha="center", va="center", color="white", fontsize=8)
        start += share


def _label_axes(axes: Axes, reports: Mapping[str, SliceReport]) -> None:
    from matplotlib.ticker import PercentFormatter

    labels = [
        f"{name}\nn = {report.transition.num_examples:,}, p = {report.transition.mcnemar_p:.2g}"
        for name, report in reports.items()
    ]
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(visible=False, axis="y")


def _decimals(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"
