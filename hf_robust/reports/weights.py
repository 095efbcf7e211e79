"""Pictures of the learnt weights of an adaptive adversary (``adversary_weights.jsonl``) and of its linearisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.reports.curves import STYLE, save_figure
from hf_robust.reports.palette import COLOURS
from hf_robust.runs import ADVERSARY_WEIGHTS_FILE, read_adversary_weights, read_card
from hf_robust.runs.weights import AdversaryWeightsLine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ADVERSARY_WEIGHTS_STEM = "adversary_weights"
LINEARISATION_STEM = "linearisation"
LEAST_MOVED = 0.01
"""Share of the perturbation's norm: learnt weights that move it by less have no effect beyond frozen weights."""
_FEW = 40


def clear_adversary_weights(folder: str | Path) -> None:
    """Remove the file and the pictures of an earlier run from the folder."""
    stems = (ADVERSARY_WEIGHTS_STEM, LINEARISATION_STEM)
    for name in (ADVERSARY_WEIGHTS_FILE, *(f"{stem}{ending}" for stem in stems for ending in (".png", ".svg"))):
        (Path(folder) / name).unlink(missing_ok=True)


def draw_adversary_weights(run_dir: str | Path) -> list[Path]:
    """Draw the pictures of a run folder and return their paths.

    These are ``adversary_weights.png`` and ``.svg``, and ``linearisation.png`` and ``.svg`` if the run logged it.

    Raises:
        ValueError: the folder has no readable ``adversary_weights.jsonl``.
    """
    folder, lines = Path(run_dir), read_adversary_weights(run_dir)
    title = _title(folder)
    paths = save_figure(adversary_weights_figure(lines, title), folder, ADVERSARY_WEIGHTS_STEM)
    linear = [line for line in lines if "linearised_loss" in line]
    if linear:
        paths += save_figure(linearisation_figure(linear, title), folder, LINEARISATION_STEM)
    return paths


def largest_move(lines: Sequence[AdversaryWeightsLine]) -> float:
    """Largest move of the perturbation by the learnt weights, relative to its norm; nan if it was not logged."""
    return max((_number(line["point_moved"]) for line in lines if "point_moved" in line), default=math.nan)


def adversary_weights_figure(lines: Sequence[AdversaryWeightsLine], title: str) -> Figure:
    """Panels over the steps: the weights, their entropy, and, if it was logged, how far they move the point.

    Colours follow the number of the increment.
    """
    from matplotlib import colormaps, rc_context
    from matplotlib.figure import Figure

    steps = [line["step"] for line in lines]
    count = len(lines[0]["w"])
    moved = [100 * _number(line.get("point_moved")) for line in lines]
    has_moves = math.isfinite(largest_move(lines))
    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 5.8 if has_moves else 4.6), dpi=200, layout="constrained")
        panels = figure.subplots(2 + has_moves, 1, sharex=True, height_ratios=(2.2, 1, 1)[: 2 + has_moves])
        above, below, *last = panels
        for index in range(count):
            colour = colormaps["viridis"](0.92 * index / max(count - 1, 1))
            _plot(above, steps, [line["w"][index] for line in lines], colour, f"w{index + 1}")
        above.axhline(1 / count, color="#999999", linewidth=0.9, linestyle=(0, (1, 2)), zorder=1, label="1/k")
        above.set_ylabel("weight of an increment")
        _plot(below, steps, [_number(line.get("entropy")) for line in lines], "#000000", "entropy")
        most = below.axhline(math.log(count), color="#999999", linewidth=0.9, linestyle=(0, (5, 2)), zorder=1)
        most.set_label("log k")
        below.set_ylabel("entropy")
        for axes in last:
            _plot(axes, steps, moved, COLOURS[0], "move of the point")
            least = axes.axhline(100 * LEAST_MOVED, color="#999999", linewidth=0.9, linestyle=(0, (3, 1)), zorder=1)
            least.set_label(f"{LEAST_MOVED:.0%}: no effect")
            axes.set_ylabel("% of its norm")
            axes.set_ylim(bottom=0)
        little = largest_move(lines) < LEAST_MOVED
        warning = (
            f"The weights moved the point by less than {LEAST_MOVED:.0%} of its norm, so they act like frozen weights."
            * little
        )
        _finish(figure, [below, *last][-1], title, warning)
    return figure


def linearisation_figure(lines: Sequence[AdversaryWeightsLine], title: str) -> Figure:
    """Loss at the weighted point, its first-order approximation (AdaptAT, Figure 4) and clean loss over the steps.

    The lower panel shows the error of the approximation in % of the loss increase over the clean loss. Relative to the
    loss itself the error would look too small, since the adversary adds only a small part of it.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    steps = [line["step"] for line in lines]
    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 5.0), dpi=200, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        for key, label, colour in (
            ("loss", "loss at the point", COLOURS[1]),
            ("linearised_loss", "linearised loss", COLOURS[0]),
            ("clean_loss", "clean loss", COLOURS[2]),
        ):
            _plot(above, steps, [_number(line.get(key)) for line in lines], colour, label)
        above.lines[1].set_linestyle(
            (0, (3, 2))
        )  # dashed, since it covers the first line if the approximation is good
        above.set_ylabel("loss")
        _plot(below, steps, [_relative_error(line) for line in lines], COLOURS[6], "error / (adversarial - clean)")
        below.set_ylabel("error, %")
        below.set_ylim(bottom=0)
        _finish(figure, below, title)
    return figure


def _relative_error(line: AdversaryWeightsLine) -> float:
    """Error in % of the loss increase; nan if the adversary did not raise the loss or an older file has no number."""
    increase = _number(line.get("loss_increase"))
    return 100 * _number(line.get("linearisation_error")) / increase if increase > 0 else math.nan


def _plot(axes: Axes, steps: Sequence[int], values: Sequence[float], colour: Any, label: str) -> None:
    marker = "o" if len(steps) <= _FEW else None
    axes.plot(steps, values, color=colour, linewidth=1.5, marker=marker, markersize=3, zorder=4, label=label)


def _finish(figure: Figure, lowest: Axes, title: str, warning: str = "") -> None:
    from matplotlib.ticker import MaxNLocator

    lowest.set_xlabel("step")
    lowest.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10.5)
    caption = " ".join(filter(None, [warning, "Each point is a mean over the steps since the previous point."]))
    figure.supxlabel(caption, fontsize=7, color="#555555")


def _title(folder: Path) -> str:
    card = read_card(folder)
    name = (card.get("data") or {}).get("name")
    method = card.get("method", "adversary")
    return f"{method} on {name}" if name else str(method)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
