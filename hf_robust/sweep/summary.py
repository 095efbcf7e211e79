"""Write ``sweep.json``, ``sweep.md`` and the pictures of a sweep, from the folders of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.reports import (
    Setting,
    default_objectives,
    front_figure,
    front_of,
    load_evaluated,
    metric_label,
    metric_rate,
    metrics_of,
    save_figure,
    settings_of,
    sweep_figure,
    sweep_note,
    sweep_table,
    value_text,
)
from hf_robust.reports.guessing import DAGGER
from hf_robust.reports.standard import require_one_standard
from hf_robust.runs import Run, write_json, write_text
from hf_robust.sweep.file import METHOD, SEED, FigureRequest, Point, Sweep
from hf_robust.sweep.runs import FAILED, folder_of, is_finished

STEM = "sweep"
FRONT_STEM = "front"


def objectives_of(sweep: Sweep, runs: Sequence[Run]) -> dict[str, bool]:
    """Return the metrics of the table, and whether a higher value of each is better."""
    if sweep.objectives:
        return {name: direction == "maximize" for name, direction in sweep.objectives.items()}
    return default_objectives(runs)


def values_of(sweep: Sweep, folder: Path) -> list[float]:
    """Return the objectives of a finished run, in the order of the sweep file.

    Raises:
        ValueError: the run has not measured a metric that the sweep names.
    """
    run = load_evaluated(folder)
    for metric in (*sweep.objectives, *(metric for figure in sweep.figures for metric in figure.metrics)):
        if metric_rate(run, metric) is None:
            raise ValueError(
                f"{folder.name} is finished and has not measured {metric}: name one of its metrics in the sweep file "
                f"({', '.join(metrics_of(run))}); finished runs are kept."
            )
    return [rate.value for metric in sweep.objectives if (rate := metric_rate(run, metric)) is not None]


def result_line(sweep: Sweep, folder: Path) -> str:
    """Return the objectives of a finished run in one line.

    Raises:
        ValueError: the run has not measured a metric that the sweep names.
    """
    values_of(sweep, folder)
    run = load_evaluated(folder)
    values = {metric: metric_rate(run, metric) for metric in objectives_of(sweep, [run])}
    return "  ".join(f"{metric} {rate.value:.4g}" for metric, rate in values.items() if rate is not None)


def write_summary(sweep: Sweep, points: Sequence[Point], output: Path) -> str:
    """Write the table, its numbers and the pictures of the finished runs; return the text to print.

    Raises:
        ValueError: an objective is of the standard evaluation, and the runs were measured by different standards.
    """
    folders = [folder_of(output, point) for point in points]
    states = {folder.name: _state(folder) for folder in folders}
    runs = [load_evaluated(folder) for folder in folders if states[folder.name] == "finished"]
    settings = settings_of(runs, sweep.varied)
    objectives = objectives_of(sweep, runs)
    if any(name.removeprefix("eval_").startswith("standard_") for name in objectives):
        require_one_standard(runs)
    pictures, remarks = _draw(sweep, settings, objectives, output) if runs else ([], [])
    card = {
        "objectives": {name: "maximize" if more else "minimize" for name, more in objectives.items()},
        "flags": list(sweep.varied),
        "settings": _numbers(settings, objectives),
        "runs": states,
        "figures": [path.name for path in pictures],
    }
    write_json(output / f"{STEM}.json", card)
    parts = [sweep_table(settings, objectives), sweep_note(settings)] if runs else ["No run is finished yet."]
    parts += [*_conclusions(sweep, settings, objectives), *remarks]
    unfinished = [name for name, state in states.items() if state != "finished"]
    if unfinished:
        parts.append(f"Not in the table: {', '.join(f'{name} ({states[name]})' for name in unfinished)}.")
    text = "\n\n".join(part.strip() for part in parts) + "\n"
    images = "".join(f"\n![{path.stem}]({path.name})\n" for path in pictures if path.suffix == ".png")
    write_text(output / f"{STEM}.md", text + images)
    return text


def _state(folder: Path) -> str:
    if is_finished(folder):
        return "finished"
    return "failed" if (folder / FAILED).exists() else "interrupted" if folder.is_dir() else "not begun"


def _numbers(settings: Sequence[Setting], objectives: Mapping[str, bool]) -> list[dict[str, Any]]:
    front = front_of(settings, objectives) if len(objectives) == 2 else []
    return [
        {
            "flags": setting.flags,
            "seeds": [run.card.get(SEED) for run in setting.runs],
            "runs": [run.path.name for run in setting.runs],
            "metrics": {metric: estimate_of(setting, metric) for metric in objectives},
            "guesses": setting.guesses,
            "front": index in front,
        }
        for index, setting in enumerate(settings)
    ]


def estimate_of(setting: Setting, metric: str) -> dict[str, float]:
    """Return the mean with the sample standard deviation over seeds, or the interval of a single run."""
    rate, count = setting.estimate(metric), setting.count(metric)
    if count > 1:
        return {"mean": rate.value, "spread": rate.high - rate.value, "n": count}
    return {"mean": rate.value, "low": rate.low, "high": rate.high, "n": count}


def _conclusions(sweep: Sweep, settings: Sequence[Setting], objectives: Mapping[str, bool]) -> list[str]:
    """Return sentences that read the table: the best setting, and runs that only guess."""
    sentences = []
    if len(settings) > 1 and len(objectives) < 3 and (front := front_of(settings, objectives)):
        metric = next(iter(objectives))
        flags = ", ".join(f"{flag} {value_text(value)}" for flag, value in settings[front[-1]].flags.items())
        best = "Best" if len(objectives) == 1 else "Of the front, the best"
        sentences.append(f"{best} in {metric_label(metric)}: {flags}.")
    if any(setting.guesses for setting in settings):
        sentences.append(
            f"{DAGGER}: a run is hardly or not better than a model that always predicts the most frequent class. Its "
            "rates under attack mean nothing, and it is on no front."
        )
    return sentences


# ---- pictures ----


def _draw(
    sweep: Sweep, settings: Sequence[Setting], objectives: Mapping[str, bool], output: Path
) -> tuple[list[Path], list[str]]:
    """Draw the requested pictures, or one for each varied flag; return their paths, and why one could not be drawn."""
    pictures, remarks = [], []
    for request in sweep.figures or default_figures(sweep):
        others = [flag for flag in sweep.varied if flag not in (*request.x, SEED)]
        panels = request.panels if request.panels is not None else () if sweep.search else others
        try:
            figure = sweep_figure(
                settings, request.x, request.metrics or list(objectives), panels, joined=sweep.search is None
            )
        except ValueError as error:
            remarks.append(f"Not drawn: {error}")
            continue
        pictures += save_figure(figure, output, f"by_{'_'.join(request.x)}")
    if len(objectives) == 2 and len(settings) > 1:
        pictures += save_figure(front_figure(settings, objectives), output, FRONT_STEM)
    return pictures, remarks


def default_figures(sweep: Sweep) -> list[FigureRequest]:
    """Return a picture for each varied flag or group of flags, without the method and the seed."""
    axes = [tuple(flag for flag in axis if flag not in (METHOD, SEED)) for axis in sweep.axes]
    return [FigureRequest(axis) for axis in axes if axis]
