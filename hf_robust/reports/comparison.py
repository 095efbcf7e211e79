"""Picture of several runs: clean accuracy and attack success rates of the published weights of each run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_robust.reports.aims import rated_attacks
from hf_robust.reports.captions import attacked_in_words, wrapped
from hf_robust.reports.compare import require_comparable
from hf_robust.reports.curves import STYLE, plain, save_figure
from hf_robust.reports.groups import group_by_seed, group_names
from hf_robust.reports.guessing import GUESSING_NOTE, dagger, guesses
from hf_robust.reports.palette import point_style
from hf_robust.reports.points import accuracy_rate, attack_rate, over_runs
from hf_robust.runs import Run, load_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPARISON_STEM = "comparison"


def draw_comparison(run_dirs: Sequence[str | Path], folder: str | Path, force: bool = False) -> list[Path]:
    """Draw ``comparison.png`` and ``.svg`` into a folder, which is made, and return their paths.

    Raises:
        ValueError: a run cannot be read, or the runs are not comparable and ``force`` is False.
    """
    runs = [load_run(one) for one in run_dirs]
    if not force:
        require_comparable(runs)
    Path(folder).mkdir(parents=True, exist_ok=True)
    return save_figure(comparison_figure(runs), Path(folder), COMPARISON_STEM)


def comparison_figure(runs: Sequence[Run]) -> Figure:
    """One column for each rate, one point for each group of runs that differ only in their seed.

    Bars are 95 % Wilson intervals for a single run, ± one sample standard deviation for several seeds.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    groups = group_by_seed(runs)
    attacks = rated_attacks(runs)
    with rc_context(STYLE):
        figure = Figure(figsize=(max(5.2, 2.6 + 1.3 * (1 + len(attacks))), 3.8), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        for index, (name, group) in enumerate(zip(group_names(groups), groups, strict=True)):
            label = (name if len(group) == 1 else f"{name}, {len(group)} seeds") + dagger(group)
            _draw_group(axes, group, attacks, label, index, len(groups))
        _label_axes(axes, attacks)
        figure.legend(loc="outside right center", frameon=False, fontsize=8)
        figure.supxlabel(_caption(groups, attacks), fontsize=7, color="#555555", linespacing=1.35)
    return figure


def _draw_group(axes: Axes, group: Sequence[Run], attacks: Sequence[str], label: str, index: int, count: int) -> None:
    points = [over_runs(map(accuracy_rate, group))]
    points += [over_runs(attack_rate(run, attack) for run in group) for attack in attacks]
    offset = (index - (count - 1) / 2) * min(0.16, 0.7 / count)
    known = [(place + offset, *point) for place, point in enumerate(points) if point.known]
    colour, marker = point_style(index)
    axes.errorbar(
        [place for place, *_ in known],
        [value for _, value, _, _ in known],
        yerr=[[value - low for _, value, low, _ in known], [high - value for _, value, _, high in known]],
        fmt=marker,
        color=colour,
        markerfacecolor="white" if dagger(group) else colour,
        markersize=5,
        elinewidth=1.3,
        capsize=2.5,
        label=plain(label),
        clip_on=False,
    )


def _label_axes(axes: Axes, attacks: Sequence[str]) -> None:
    from matplotlib.ticker import PercentFormatter

    labels = ["clean\naccuracy ↑", *(f"{plain(attack)}\nASR ↓" for attack in attacks)]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(visible=False, axis="x")


def _caption(groups: Sequence[Sequence[Run]], attacks: Sequence[str]) -> str:
    parts = []
    if any(len(group) == 1 for group in groups):
        parts.append("95% Wilson intervals of single runs")
    if any(len(group) > 1 for group in groups):
        parts.append("± one standard deviation over seeds")
    results = {name: [run.published["attacks"].get(name, {}) for group in groups for run in group] for name in attacks}
    lines = [f"Bars: {', '.join(parts)}. ASR: attack success rate on the correctly classified examples."]
    counted = attacked_in_words(results)
    lines.append(f"{counted[:1].upper()}{counted[1:]}." if counted else "")
    if any(guesses(run) for group in groups for run in group):
        lines.append(f"Hollow, {GUESSING_NOTE}")
    return wrapped(lines, 110)
