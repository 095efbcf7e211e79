"""Pictures of an adaptive adversary's learnt weights (``adversary_weights.jsonl``) and of its linearisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.reports.curves import STYLE, save_figure
from hf_robust.reports.looks import COLOURS
from hf_robust.runs import WEIGHTS_FILE, read_card, read_weights
from hf_robust.runs.weights import WeightLine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WEIGHTS_STEM = "adversary_weights"
LINEARISATION_STEM = "linearisation"
_FEW = 40


def clear_weights(folder: str | Path) -> None:
    """Remove the file and its pictures, which an earlier run left in the folder."""
    stems = (WEIGHTS_STEM, LINEARISATION_STEM)
    for name in (WEIGHTS_FILE, *(f"{stem}{ending}" for stem in stems for ending in (".png", ".svg"))):
        (Path(folder) / name).unlink(missing_ok=True)


def draw_adversary_weights(run_dir: str | Path) -> list[Path]:
    """Draw ``adversary_weights.png`` and ``.svg`` into a run folder, and ``linearisation.png`` and ``.svg`` where the
    run logged it; return their paths.

    Raises:
        ValueError: the folder has no readable ``adversary_weights.jsonl``.
    """
    folder, lines = Path(run_dir), read_weights(run_dir)
    title = _title(folder)
    paths = save_figure(weights_figure(lines, title), folder, WEIGHTS_STEM)
    linear = [line for line in lines if "linearised_loss" in line]
    if linear:
        paths += save_figure(linearisation_figure(linear, title), folder, LINEARISATION_STEM)
    return paths


def weights_figure(lines: Sequence[WeightLine], title: str) -> Figure:
    """Each weight over the steps, above their entropy; colours run with the number of the increment."""
    from matplotlib import colormaps, rc_context
    from matplotlib.figure import Figure

    steps = [line["step"] for line in lines]
    count = len(lines[0]["w"])
    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 4.6), dpi=200, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        for index in range(count):
            colour = colormaps["viridis"](0.92 * index / max(count - 1, 1))
            _plot(above, steps, [line["w"][index] for line in lines], colour, f"w{index + 1}")
        above.axhline(1 / count, color="#999999", linewidth=0.9, linestyle=(0, (1, 2)), zorder=1, label="1/k")
        above.set_ylabel("weight of an increment")
        _plot(below, steps, [_number(line.get("entropy")) for line in lines], "#000000", "entropy")
        most = below.axhline(math.log(count), color="#999999", linewidth=0.9, linestyle=(0, (5, 2)), zorder=1)
        most.set_label("log k")
        below.set_ylabel("entropy")
        _finish(figure, below, title)
    return figure


def linearisation_figure(lines: Sequence[WeightLine], title: str) -> Figure:
    """The loss at the weighted point and its first-order approximation (AdaptAT, Figure 4), over the steps."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    steps = [line["step"] for line in lines]
    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 4.0), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        for key, label, colour in (
            ("loss", "loss", COLOURS[1]),
            ("linearised_loss", "linearised loss", COLOURS[0]),
            ("linearisation_error", "mean |difference|", COLOURS[6]),
        ):
            _plot(axes, steps, [_number(line.get(key)) for line in lines], colour, label)
        axes.set_ylabel("loss")
        _finish(figure, axes, title)
    return figure


def _plot(axes: Axes, steps: Sequence[int], values: Sequence[float], colour: Any, label: str) -> None:
    marker = "o" if len(steps) <= _FEW else None
    axes.plot(steps, values, color=colour, linewidth=1.5, marker=marker, markersize=3, zorder=4, label=label)


def _finish(figure: Figure, lowest: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    lowest.set_xlabel("step")
    lowest.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10.5)
    caption = "Means over the steps since the point before."
    figure.supxlabel(caption, fontsize=7, color="#555555")


def _title(folder: Path) -> str:
    card = read_card(folder)
    name = (card.get("data") or {}).get("name")
    method = card.get("method", "adversary")
    return f"{method} on {name}" if name else str(method)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
