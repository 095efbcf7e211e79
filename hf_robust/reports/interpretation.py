"""Table and pictures of `hf-robust interpret`: interpretation consistency, and word importance against word counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.reports.cells import markdown_table, percent
from hf_robust.reports.curves import STYLE, save_figure
from hf_robust.reports.palette import COLOURS, MARKERS

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
        panels: by kind of count, ``(count, importance)`` of each word and Pearson's r.
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


INTERPRETATION_STEM = "interpretation"
_NOTHING = "–"
_HEADLINE = 5


def interpretation_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown table with a row for each attribution method: tau, top-k intersections, counts, completeness.

    Args:
        results: results by attribution method, as under ``attributions`` in `interpretation.json`.
    """
    ks = [one["k"] for result in list(results.values())[:1] for one in result["top_k"]]
    header = ["attribution", "tau", *(f"top-{k}" for k in ks), "n", "undefined", "words", "changed"]
    header += ["complete within 1%", "largest error", "seconds each"]
    rows = []
    for name, result in results.items():
        complete, worst = (result[key] for key in ("complete_share", "worst_completeness"))
        row = [
            name,
            _estimate(result["kendall_tau"]),
            *(_estimate(one, one["k"] == _HEADLINE) for one in result["top_k"]),
        ]
        row += [f"{result['num_pairs']:,}", f"{result['num_undefined']:,}", _number(result["words"], 1)]
        row += [_percent(result["changed_share"]), _percent(complete), _percent(worst)]
        rows.append([*row, _number(result["seconds_per_pair"], 2)])
    return markdown_table(header, rows)


def draw_interpretation(results: Mapping[str, Mapping[str, Any]], folder: str | Path, title: str) -> list[Path]:
    """Draw ``interpretation.png`` and ``.svg`` into a folder, which is made, and return their paths."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    return save_figure(interpretation_figure(results, title), Path(folder), INTERPRETATION_STEM)


def interpretation_figure(results: Mapping[str, Mapping[str, Any]], title: str) -> Figure:
    """Top-k intersection over k, one curve for each attribution, with 95 % bootstrap bands."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 4.0), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        for index, (name, result) in enumerate(results.items()):
            ks = [one["k"] for one in result["top_k"]]
            mean, low, high = ([_known(one[key]) for one in result["top_k"]] for key in ("mean", "low", "high"))
            colour = COLOURS[index % len(COLOURS)]
            label = f"{name}: tau {_estimate(result['kendall_tau'])}, n = {result['num_pairs']:,}"
            axes.plot(ks, mean, color=colour, marker=MARKERS[index % len(MARKERS)], markersize=5, label=label)
            axes.fill_between(ks, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.set_ylim(0, 1.02)
        axes.set_xticks(sorted({one["k"] for result in results.values() for one in result["top_k"]}))
        axes.set_xlabel("k")
        axes.set_ylabel("top-k intersection ↑")
        axes.legend(loc="lower right", frameon=False, fontsize=8)
        figure.suptitle(title, fontsize=10.5)
        caption = (
            "Share of the k most important words that a text and its perturbed form have in common. Bands: 95% "
            "bootstrap intervals."
        )
        figure.supxlabel(caption, fontsize=7, color="#555555")
    return figure


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _estimate(result: Mapping[str, float | None], interval: bool = True) -> str:
    mean, low, high = (_known(result[key]) for key in ("mean", "low", "high"))
    if math.isnan(mean):
        return _NOTHING
    return f"{mean:.2f}" if math.isnan(low) or not interval else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _percent(value: float | None) -> str:
    return percent(_known(value)) + ("" if value is None or math.isnan(value) else " %")


def _number(value: float | None, decimals: int) -> str:
    return _NOTHING if math.isnan(_known(value)) else f"{value:.{decimals}f}"
