"""Curves of the attack success rate over the query budget, computed from the recorded queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_robust.metrics import AttackRecord, asr_at_budget, wilson_interval
from hf_robust.reports.curves import STYLE, save_figure
from hf_robust.reports.palette import PointStyle, attack_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BUDGET_STEM = "asr_by_budget"


def draw_asr_by_budget(records: Mapping[str, Sequence[AttackRecord]], folder: str | Path, title: str) -> list[Path]:
    """Draw ``asr_by_budget.png`` and ``.svg`` into a folder, which is made, and return their paths."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    return save_figure(budget_figure(records, title), Path(folder), BUDGET_STEM)


def budget_figure(records: Mapping[str, Sequence[AttackRecord]], title: str) -> Figure:
    """Step curve of the success rate of each attack over the number of queries (log scale), with 95 % Wilson bands.

    Args:
        records: records of each attack by its name.
        title: name of the attacked model and data.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 4.0), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        most = max((record.queries for of_attack in records.values() for record in of_attack), default=1)
        for name, style in attack_styles(records).items():
            _draw_attack(axes, name, records[name], most, style)
        _label_axes(axes, most)
        figure.legend(loc="outside right center", frameon=False, fontsize=8)
        figure.suptitle(title, fontsize=10.5)
        figure.supxlabel(_caption(records), fontsize=7, color="#555555", linespacing=1.35)
    return figure


def _draw_attack(axes: Axes, name: str, records: Sequence[AttackRecord], most: int, style: PointStyle) -> None:
    colour, marker = style
    attacked = sum(record.status != "skipped" for record in records)
    if not attacked:
        axes.plot([], [], color=colour, label=f"{name} (nothing attacked)")
        return
    steps = sorted({record.queries for record in records if record.status == "succeeded"})
    budgets = [1, *(step for step in steps if step > 1), most]
    rates = asr_at_budget(records, budgets)
    bounds = [wilson_interval(round(rate * attacked), attacked) for rate in rates]
    # The marker at the right end distinguishes the curves in print.
    axes.plot(
        budgets, rates, color=colour, linewidth=1.8, drawstyle="steps-post", marker=marker,
        markersize=5, markevery=[len(budgets) - 1], clip_on=False, zorder=4, label=name,
    )  # fmt: skip
    low, high = zip(*bounds, strict=True)
    axes.fill_between(budgets, low, high, step="post", color=colour, alpha=0.13, linewidth=0, zorder=2)


def _label_axes(axes: Axes, most: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

    axes.set_xscale("log")
    axes.set_xlim(1, max(most, 2))
    axes.set_ylim(0, 1)
    axes.set_xlabel("query budget per example")
    axes.set_ylabel("ASR ↓")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _caption(records: Mapping[str, Sequence[AttackRecord]]) -> str:
    counts = {name: sum(record.status != "skipped" for record in of_attack) for name, of_attack in records.items()}
    attacked = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return (
        "ASR: share of the attacked examples on which the attack succeeded within this number of queries.\n"
        f"The clean text is query 1. Bands: 95% Wilson intervals. Attacked examples: {attacked}."
    )
