"""Tradeoff curves: clean accuracy and the success rate of every attack per epoch (Chen et al. 2022, figures 3, 6).

Bands are 95 % Wilson intervals. Each quantity has its colour and marker (`hf_robust.reports.palette`). Lines are solid
for the run and dashed for each baseline run. A dotted line shows the share of the most frequent class.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from hf_robust.metrics import wilson_interval
from hf_robust.reports.aims import rated_attacks
from hf_robust.reports.captions import attacked_in_words, run_title, wrapped
from hf_robust.reports.compare import differences
from hf_robust.reports.guessing import guessing_of
from hf_robust.reports.palette import ACCURACY, CERTIFIED, attack_styles
from hf_robust.reports.stopping import interval_name
from hf_robust.runs import HistoryLine, Run, load_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES_STEM = "tradeoff_curves"

_GUESSING, _WARNING = "#777777", "#B00020"
_SPARSE: Any = (0, (1, 4))
_LONGEST, _LONGEST_REASON, _CAPTION_LETTERS = 48, 200, 125
_DASHES = ((0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (9, 3)))
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",  # labels stay text: searchable, and editable in a paper's figure
    "svg.hashsalt": "hf_robust",  # same history, same file
}


def draw_tradeoff_curves(run_dir: str | Path, baseline_runs: Sequence[str | Path] = ()) -> list[Path]:
    """Draw ``tradeoff_curves.png`` and ``.svg`` into the run folder and return their paths.

    Args:
        run_dir: folder with a ``robustness_history.jsonl``; its ``run_card.json``, if any, names method and data.
        baseline_runs: folders of other runs, drawn dashed, with the attacks that the run has too.

    Raises:
        ValueError: a folder has no readable history.
    """
    return save_figure(tradeoff_figure(load_run(run_dir), [load_run(other) for other in baseline_runs]), Path(run_dir))


def tradeoff_figure(run: Run, baselines: Sequence[Run] = ()) -> Figure:
    """The picture as a matplotlib Figure; it changes no global state of matplotlib."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    attacks = rated_attacks([run])
    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 4.0), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        _draw_guessing(axes, run)
        for index, each in enumerate([run, *baselines]):
            _draw_run(axes, each, attacks, _dash(index), faint=index > 0, offset=_offset(run, index))
        _label_axes(axes, [run, *baselines])
        _add_legends(figure, axes, run, baselines, attacks)
        figure.suptitle(run_title(run), fontsize=10.5)
        figure.supxlabel(_caption(run, baselines, attacks), fontsize=7, color="#555555", linespacing=1.35)
    return figure


def save_figure(figure: Figure, folder: Path, stem: str = CURVES_STEM) -> list[Path]:
    """Write the PNG and the SVG, each atomically, since an upload may be reading the old file."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    paths = [folder / f"{stem}.png", folder / f"{stem}.svg"]
    for path in paths:
        scratch = path.with_name(f"_{stem}.{os.getpid()}{path.suffix}")
        with rc_context(STYLE):
            figure.savefig(scratch, metadata={"Date": None} if path.suffix == ".svg" else None)
        os.replace(scratch, path)
    return paths


def _draw_run(axes: Axes, run: Run, attacks: Sequence[str], dash: Any, faint: bool, offset: float) -> None:
    epochs = [float(line["epoch"]) + offset for line in run.history]
    accuracy = [curve_accuracy(run, line) for line in run.history]
    bounds = [accuracy_bounds(value, run.eval_samples) for value in accuracy]
    draw_series(axes, epochs, accuracy, bounds, *ACCURACY, dash, faint)
    for attack, style in attack_styles(attacks).items():
        rates = [_number(line, attack, "asr") for line in run.history]
        bounds = [(_number(line, attack, "asr_low"), _number(line, attack, "asr_high")) for line in run.history]
        draw_series(axes, epochs, rates, bounds, *style, dash, faint)
    if _is_certified(run):
        rates = [_certified(line, "certified_accuracy") for line in run.history]
        bounds = [
            (_certified(line, "certified_accuracy_low"), _certified(line, "certified_accuracy_high"))
            for line in run.history
        ]
        draw_series(axes, epochs, rates, bounds, *CERTIFIED, dash, faint)


def _draw_guessing(axes: Axes, run: Run) -> None:
    """Draw the share of the most frequent class, and a warning above the curves if the model guesses."""
    guess = guessing_of(run)
    if guess is None:
        return
    axes.axhline(guess.larger_class, color=_GUESSING, linewidth=0.9, linestyle=_SPARSE, zorder=1)
    if not guess.learnt:
        axes.set_title(f"accuracy {100 * guess.accuracy:.1f}: {guess.mark}", fontsize=8.5, color=_WARNING)


def draw_series(
    axes: Axes,
    epochs: Sequence[float],
    values: Sequence[float],
    bounds: Sequence[tuple[float, float]],
    colour: str,
    marker: str,
    dash: Any,
    faint: bool,
) -> None:
    """One line of rates over the epochs with a band between its bounds; faint for baseline runs."""
    low, high = [bound[0] for bound in bounds], [bound[1] for bound in bounds]
    fill = "white" if faint else colour
    axes.plot(
        epochs, values, color=colour, marker=marker, linestyle=dash, linewidth=1.3 if faint else 1.8,
        markersize=4, markerfacecolor=fill, markeredgewidth=0.9, clip_on=False, zorder=3 if faint else 4,
    )  # fmt: skip
    measured = [index for index, value in enumerate(values) if math.isfinite(value) and math.isfinite(low[index])]
    if len(measured) > 1:
        axes.fill_between(epochs, low, high, color=colour, alpha=0.07 if faint else 0.15, linewidth=0, zorder=2)
    elif measured:  # a band needs two points, so a single epoch gets an error bar
        (only,) = measured
        axes.vlines(epochs[only], low[only], high[only], color=colour, alpha=0.45, linewidth=1.2, zorder=2)


def _label_axes(axes: Axes, runs: Sequence[Run]) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set_xlabel("epoch")
    axes.set_ylabel("rate")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    epochs = [float(line["epoch"]) for run in runs for line in run.history]
    margin = max((max(epochs) - min(epochs)) * 0.03, 0.05 if len(set(epochs)) > 1 else 0.5)
    axes.set_xlim(min(epochs) - margin, max(epochs) + margin)


def _add_legends(figure: Figure, axes: Axes, run: Run, baselines: Sequence[Run], attacks: Sequence[str]) -> None:
    """Legend of colours (quantities) and line styles (runs)."""
    from matplotlib.lines import Line2D

    colour, marker = ACCURACY
    quantities = [Line2D([], [], color=colour, marker=marker, markersize=4, label="clean accuracy ↑")]
    for attack, (colour, marker) in attack_styles(attacks).items():
        quantities.append(Line2D([], [], color=colour, marker=marker, markersize=4, label=_label(run, attack)))
    if any(map(_is_certified, [run, *baselines])):
        colour, marker = CERTIFIED
        quantities.append(Line2D([], [], color=colour, marker=marker, markersize=4, label="certified accuracy ↑"))
    handles = quantities
    if baselines:
        handles = [*quantities, Line2D([], [], linestyle="none", label=" ")]
        for index, name in enumerate(_run_names([run, *baselines])):
            handles.append(Line2D([], [], color="#555555", linestyle=_dash(index), label=name))
    if run.best_step is not None:
        best = axes.axvline(
            float(run.published["epoch"]), color="#999999", linewidth=0.9, linestyle=(0, (1, 2)), zorder=1
        )
        best.set_label("saved weights")
        handles = [*handles, best]
    if (guess := guessing_of(run)) is not None:
        label = f"larger class, {100 * guess.larger_class:.1f}%"
        handles = [*handles, Line2D([], [], color=_GUESSING, linestyle=_SPARSE, linewidth=0.9, label=label)]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8, handlelength=2.6)


def _run_names(runs: Sequence[Run]) -> list[str]:
    """Method names, with the folder name if two runs have the same method."""
    methods = [run.method for run in runs]
    return [
        f"{method} ({run.path.resolve().name})" if methods.count(method) > 1 else method
        for run, method in zip(runs, methods, strict=True)
    ]


def _label(run: Run, attack: str) -> str:
    measured = any(math.isfinite(_number(line, attack, "asr")) for line in run.history)
    return f"{attack} ASR ↓" if measured else f"{attack} ASR (nothing attacked)"


def _caption(run: Run, baselines: Sequence[Run], attacks: Sequence[str]) -> str:
    """Caption with definitions and numbers of examples, so that the picture can stand alone."""
    measured = [_certified(line, "num_examples") for line in run.history]
    certified = max((count for count in measured if math.isfinite(count)), default=0)
    parts = [
        f"accuracy on N = {run.eval_samples:,}" if run.eval_samples else "",
        attacked_in_words({name: [line["attacks"].get(name, {}) for line in run.history] for name in attacks}),
        f"certified: share of N = {int(certified):,} for which no substitution can change the prediction"
        if certified
        else "",
    ]
    text = "; ".join(filter(None, parts))
    if run.card.get("vote"):
        text = f"Accuracy and ASR of a vote of {run.card['vote']['votes']}. {text[:1].upper()}{text[1:]}"
    marks = "Bands" if len(run.history) > 1 else "Bars"
    asr = "ASR: attack success rate on the examples that are classified correctly before the attack. "
    lines = [
        f"{asr if attacks else ''}{marks}: 95% {interval_name(run.history)}.",
        f"{text[:1].upper()}{text[1:]}." if text else "",
    ]
    for other in baselines:
        lines += [f"Not comparable: {shorten(why, _LONGEST_REASON)}." for why in differences([run, other])[:1]]
    return wrapped(lines, _CAPTION_LETTERS)


def _dash(index: int) -> Any:
    """Line style of a run by its index: solid for the first run, dashed for the others."""
    return "-" if index == 0 else _DASHES[(index - 1) % len(_DASHES)]


def _offset(run: Run, index: int) -> float:
    """Horizontal offset of a run with a single epoch, so that its points do not hide those of other runs."""
    return 0.0 if len(run.history) > 1 else 0.06 * index


def plain(name: str) -> str:
    """A name in a form that matplotlib shows unchanged: dollar signs and a leading underscore are escaped.

    Very long names are cut, so that the legend does not fill the picture.
    """
    safe = (name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…").replace("$", r"\$")
    return f" {safe}" if safe.startswith("_") else safe


def curve_accuracy(run: Run, line: HistoryLine) -> float:
    """Accuracy of the attacked classifier, as a point of its curve.

    If a vote is attacked, lines without an attack give nan: their accuracy is that of the network without the vote.
    """
    return math.nan if run.card.get("vote") and not line["attacks"] else float(line["accuracy"])


def accuracy_bounds(accuracy: float, samples: int | None) -> tuple[float, float]:
    """Wilson interval of an accuracy over ``samples`` rows; nan if their number is unknown."""
    if samples is None or not math.isfinite(accuracy):
        return (math.nan, math.nan)
    return wilson_interval(round(accuracy * samples), samples)


def _number(line: HistoryLine, attack: str, key: str) -> float:
    return float(line["attacks"].get(attack, {}).get(key, math.nan))


def _is_certified(run: Run) -> bool:
    return any(line.get("certified") for line in run.history)


def _certified(line: HistoryLine, key: str) -> float:
    return float((line.get("certified") or {}).get(key, math.nan))
