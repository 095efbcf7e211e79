"""Pictures of the docs: rates per epoch, BAT's sweep, and the accuracy-robustness fronts of AdaptAT's sweep.

    python -m benchmarks.study.figures [EXPERIMENT...]          draws all pictures, or those of the named experiments

Each is drawn as PNG and SVG into ``benchmarks/unpacked``. The SVG is committed and shown in the docs: it is smaller
and holds the drawn numbers. ``demo`` stands for the demo runs of ``examples/demo_runs``.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.study.balanced_page import TITLES, runs_of_methods
from benchmarks.study.bat_claims import PAIRWISE
from benchmarks.study.bat_claims import SWEEP as BAT_SWEEP
from benchmarks.study.paired import runs_of, with_classes
from benchmarks.study.stored import EXPERIMENTS, RESULTS, ROOT, commit
from benchmarks.study.sweep import ATTACK, SWEEP, Point, alpha_line, by_method, k_line, read_sweep
from hf_robust.metrics import wilson_interval
from hf_robust.reports import save_figure, settings_of, sweep_figure, tradeoff_figure
from hf_robust.reports.curves import STYLE
from hf_robust.reports.fronts import draw_point, label_front
from hf_robust.reports.palette import point_style
from hf_robust.reports.points import Rate
from hf_robust.runs import Run, load_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEMO = "demo"
DEMO_RUNS = ROOT / "examples" / "demo_runs"
METRICS = ("eval_accuracy", "eval_synonym_asr", "eval_antonym_asr")
METHOD, BATCH = "robust_method", "per_device_train_batch_size"
BY_BATCH = "batch_size"
PAIRWISE_FLAGS = ("bat_alpha", "bat_beta", "bat_margin")
FRONTS_STEM = "fronts"


# ---- rates per epoch ----


def draw_demo() -> None:
    """The demo's picture, a PNG in the folder of its run."""
    run, *baselines = (load_run(DEMO_RUNS / name) for name in ("bat_triplet", "normal", "safer"))
    with tempfile.TemporaryDirectory() as scratch:
        picture, _ = save_figure(tradeoff_figure(run, baselines), Path(scratch))
        shutil.copy(picture, DEMO_RUNS / "bat_triplet")


def draw_epochs(name: str) -> None:
    """Rates per epoch of the first seed of every method of an experiment; nothing if nothing was run."""
    paths = runs_of_methods(RESULTS / name)
    if not paths:
        return
    seed = paths[0].name.split("-seed")[1]
    first, *others = (
        with_classes(load_run(path), name) for path in reversed(paths) if path.name.endswith(f"-seed{seed}")
    )
    save_figure(tradeoff_figure(first, [run for run in others if run.method in ("normal", "safer")]), RESULTS / name)


# ---- BAT's sweep (Figures 4, 8 and 9; 10 to 12) ----


def draw_bat_sweep(results: Path = RESULTS) -> list[Path]:
    """Rates by batch size, and by weights and margin of the pairwise loss, as far as there are runs for them."""
    folder, drawn = results / BAT_SWEEP, []
    by_batch = [run for name in ("normal", "safer", "bat_triplet") for run in _runs(folder, f"{name}-batch*")]
    if len({run.card["training"].get(BATCH) for run in by_batch}) > 1:
        figure = sweep_figure(settings_of(by_batch, (METHOD, BATCH)), (BATCH,), METRICS, (METHOD,))
        drawn += save_figure(figure, folder, BY_BATCH)
    default = [with_classes(load_run(path), BAT_SWEEP) for path in runs_of(folder, PAIRWISE)]
    for flag in PAIRWISE_FLAGS:
        runs = [*default, *_runs(folder, f"{PAIRWISE}-{flag.removeprefix('bat_')}*")]
        if default and len(runs) > len(default):
            drawn += save_figure(sweep_figure(settings_of(runs, (flag,)), (flag,), METRICS), folder, flag)
    return drawn


def _runs(folder: Path, pattern: str) -> list[Run]:
    """Finished runs of the settings that match a pattern, seed by seed."""
    names = sorted({path.name.rpartition("-seed")[0] for path in folder.glob(f"{pattern}-seed*")})
    return [with_classes(load_run(path), BAT_SWEEP) for name in names for path in runs_of(folder, name)]


# ---- fronts (AdaptAT, Figures 1 to 3) ----


def draw_sweep_fronts() -> None:
    """The fronts of AdaptAT's sweep."""
    draw_fronts(read_sweep(EXPERIMENTS / f"{SWEEP}.json", RESULTS / SWEEP), RESULTS / SWEEP)


def draw_fronts(points: Sequence[Point], folder: Path) -> list[Path]:
    """Write ``fronts.png`` and ``fronts.svg`` into the folder; nothing if there are no points."""
    return save_figure(fronts_figure(points), folder, FRONTS_STEM) if points else []


def fronts_figure(points: Sequence[Point]) -> Figure:
    """Clean against robust accuracy, a line for each method, in two panels; one panel if only alpha was changed.

    Left: the step size alpha grows at one number of steps k. Right: k grows at one product k * alpha. Hollow points
    are trainings that collapsed: their robust accuracy is that of a constant answer.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    methods = by_method(points)
    panels = [(alpha_line, "alpha", "k = {0.steps}, alpha grows"), (k_line, "k", "k · alpha = {0.product:g}, k grows")]
    drawn = [(line, label, title) for line, label, title in panels if any(map(line, methods.values()))]
    with rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(drawn) + 1.4, 3.9), dpi=200, layout="constrained")
        every = figure.subplots(1, len(drawn), squeeze=False)[0]
        for axes, (line, label, title) in zip(every, drawn, strict=True):
            shown = _draw_panel(axes, methods, line, label)
            axes.set_title(title.format(shown[0]), fontsize=9.5)
        label_front(every, ATTACK)
        handles, names = every[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", frameon=False, fontsize=8, handlelength=2.6)
        figure.supxlabel(_caption(points), fontsize=7, color="#555555", linespacing=1.35)
    return figure


def _draw_panel(
    axes: Axes,
    methods: dict[str, list[Point]],
    line_of: Callable[[Sequence[Point]], list[Point]],
    label: str,
) -> list[Point]:
    """Draw the line of each method and return all their points."""
    shown = []
    for index, (name, points) in enumerate(methods.items()):
        line = line_of(points)
        colour, marker = point_style(index)
        _draw_line(axes, line, name, colour, marker)
        for point in line:
            text = f"{point.alpha:g}" if label == "alpha" else f"{point.steps}"
            axes.annotate(
                text, (point.accuracy, point.robust_accuracy), xytext=(3, 3), textcoords="offset points",
                fontsize=6.5, color=colour, zorder=5,
            )  # fmt: skip
        shown += line
    return shown


def _draw_line(axes: Axes, line: Sequence[Point], name: str, colour: str, marker: str) -> None:
    for points, style in ((line, ":"), ([point for point in line if not point.collapsed], "-")):
        accuracy, robust = [point.accuracy for point in points], [point.robust_accuracy for point in points]
        axes.plot(accuracy, robust, color=colour, linewidth=1.3 if style == "-" else 0.7, linestyle=style, zorder=3)
    # A point drawn for the legend, since those of the line are filled one by one.
    axes.plot([], [], color=colour, marker=marker, markersize=4, label=name)
    for point in line:
        robust = _rate(point.robust_accuracy, point.examples)
        draw_point(axes, _rate(point.accuracy, point.eval_samples), robust, colour, marker, hollow=point.collapsed)


def _rate(value: float, examples: int) -> Rate:
    return Rate(value, *wilson_interval(round(value * examples), examples))


def _caption(points: Sequence[Point]) -> str:
    seeds = sorted({point.seeds for point in points})
    over = "one seed" if seeds == [1] else f"means over {' or '.join(map(str, seeds))} seeds"
    text = (
        f"Numbers at the points: alpha (left), k (right). Lines: 95% Wilson intervals; N = {points[0].eval_samples:,} "
        f"for accuracy, {points[0].examples:,} for the attack; {over}."
    )
    return f"{text}\nHollow: near chance." if any(point.collapsed for point in points) else text


# ---- all of them ----

DRAWERS: dict[str, Callable[[], object]] = {
    DEMO: draw_demo,
    SWEEP: draw_sweep_fronts,
    BAT_SWEEP: draw_bat_sweep,
    **{name: lambda name=name: draw_epochs(name) for name in TITLES},  # type: ignore[misc]
}
"""Experiment -> what draws its pictures. Those of attacks are drawn by `hf-robust attack` when they are run."""


def draw(names: Sequence[str] = ()) -> None:
    """Draw the pictures of the named experiments, or all, and commit them."""
    for name in names or DRAWERS:
        DRAWERS[name]()
    commit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=f"of {', '.join(DRAWERS)}; none: all")
    options = parser.parse_args()
    unknown = [name for name in options.experiments if name not in DRAWERS]
    if unknown:
        parser.error(f"no pictures are drawn of {', '.join(unknown)}; there are {', '.join(DRAWERS)}.")
    draw(options.experiments)
    print(f"Drawn: {', '.join(options.experiments or DRAWERS)}.")


if __name__ == "__main__":
    main()
