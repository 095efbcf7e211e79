"""Global word importance against counts, a point for each word type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_robust.reports.curves import STYLE, save_figure
from hf_robust.reports.looks import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMPORTANCE_STEM = "word_importance"


def draw_importance(panels: Mapping[str, tuple[Sequence[tuple[int, float]], float]], folder: str | Path) -> list[Path]:
    """Draw ``word_importance.png`` and ``.svg`` into a folder, which is made, and return their paths."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    return save_figure(importance_figure(panels), Path(folder), IMPORTANCE_STEM)


def importance_figure(panels: Mapping[str, tuple[Sequence[tuple[int, float]], float]]) -> Figure:
    """Scatter plots side by side, counts on a log scale.

    Args:
        panels: what is counted -> ``(count, importance)`` of each word, and Pearson's r.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(panels), 3.2), dpi=200, layout="constrained")
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (name, (points, r)), colour in zip(row, panels.items(), COLOURS, strict=False):
            axes.scatter([x for x, _ in points], [y for _, y in points], s=7, alpha=0.5, color=colour, linewidths=0)
            axes.set_xscale("log")
            axes.set_xlabel(name)
            shown = "not defined" if math.isnan(r) else f"{r:.2f}"
            axes.set_title(f"Pearson r {shown}, {len(points):,} words", fontsize=9)
        row[0].set_ylabel("global importance")
    return figure
