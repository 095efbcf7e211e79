"""Runs that differ in a few flags: their settings, their metrics, and the table of a sweep (BAT, Table 4).

Works on any run folders. The value of a flag is read from ``_arguments.json``, which a sweep writes, else from the run
card. Metrics have their names of ``all_results.json``, with or without ``eval_``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_robust.metrics import pareto_front
from hf_robust.reports.aims import rated_attacks, robust_accuracy_applies
from hf_robust.reports.captions import attacked_in_words
from hf_robust.reports.cells import markdown_table, over_seeds
from hf_robust.reports.guessing import DAGGER, guesses
from hf_robust.reports.points import UNKNOWN, Rate, accuracy_rate, over_runs, rate_of
from hf_robust.runs import (
    ARGUMENTS_FILE,
    HISTORY_FILE,
    METRICS_FILE,
    Run,
    load_run,
    read_card,
    read_json,
)

SEED, METHOD = "seed", "robust_method"
_RATES = ("accuracy", "asr", "_low", "_high", "covered", "share", "abstained", "f1", "_macro", "_micro", "_weighted")
CELLS = (
    "Rates in percent: a single run with its 95 % Wilson interval, several runs as mean ± sample standard deviation."
)
_LOWER_IS_BETTER = ("asr", "median_rise", "loss", "mse", "mae", "seconds", "runtime", "abstained")


@dataclass(frozen=True)
class Setting:
    """Runs that differ only in their seed, and the flags that distinguish them from the other runs of a sweep."""

    flags: dict[str, Any]
    runs: tuple[Run, ...]
    guesses: bool = False
    """Whether one of its runs is not, or hardly, better than guessing, so that attack rates mean nothing."""

    def estimate(self, metric: str) -> Rate:
        """The value of a single run with its interval, or the mean of several ± one sample standard deviation."""
        return over_runs(metric_rate(run, metric) or UNKNOWN for run in self.runs)

    def count(self, metric: str) -> int:
        """Number of runs that have a value of the metric."""
        return sum((metric_rate(run, metric) or UNKNOWN).known for run in self.runs)


def load_evaluated(folder: str | Path) -> Run:
    """Read a run folder; for a run without attacks, the history is one line made from its evaluation.

    Raises:
        ValueError: nothing was measured yet, or a file is malformed.
    """
    folder = Path(folder)
    if (folder / HISTORY_FILE).is_file():
        return load_run(folder)
    card, results = read_card(folder), read_json(folder / METRICS_FILE)
    if not any(name.startswith("eval_") for name in results):
        raise ValueError(f"{folder} has no evaluation yet; run it to its end with --do_eval.")
    line = {
        "epoch": float(results.get("epoch", math.nan)),
        "step": int(card.get("final_step") or 0),
        "accuracy": float(results.get("eval_accuracy", math.nan)),
        "attacks": {},
    }
    return Run(path=folder, history=[line], card=card, best_step=None)


def flag_value(run: Run, flag: str) -> Any:
    """Value of a flag in a run, or its default; None if the run has no such flag."""
    if flag == METHOD:
        return run.method
    arguments = read_json(run.path / ARGUMENTS_FILE)
    seed = {SEED: run.card.get(SEED)}
    for source in (arguments, seed, run.card.get("config") or {}, run.card.get("training") or {}):
        if flag in source:
            return source[flag]
    from transformers import TrainingArguments  # the run card holds only values that differ from the defaults

    field = TrainingArguments.__dataclass_fields__.get(flag)
    return field.default if field is not None else None


def settings_of(runs: Sequence[Run], flags: Sequence[str]) -> list[Setting]:
    """Group the runs by their values of these flags, in the order of the runs; flags that a run lacks are left out."""
    groups: dict[str, tuple[dict[str, Any], list[Run]]] = {}
    for run in runs:
        values = {flag: flag_value(run, flag) for flag in flags if flag != SEED}
        values = {flag: value for flag, value in values.items() if value is not None}
        groups.setdefault(json.dumps(values, sort_keys=True, default=str), (values, []))[1].append(run)
    return [Setting(values, tuple(group), any(map(guesses, group))) for values, group in groups.values()]


# ---- metrics ----


def metric_rate(run: Run, metric: str) -> Rate | None:
    """A metric of the published weights with its 95 % interval if known; None if it was not measured.

    Attack rates and clean accuracy have Wilson intervals.
    """
    name, line = metric.removeprefix("eval_"), run.published
    for attack, result in line["attacks"].items():
        key = name.removeprefix(f"{attack}_")
        if key != name and key in _meaningful_keys(run, attack, result):
            return rate_of(result, key)
    if name == "accuracy":
        return accuracy_rate(run)
    if name == "union_robust_accuracy" and "union" in line:
        return rate_of(line["union"], "robust_accuracy")
    if name in (line.get("certified") or {}):
        return rate_of({key: math.nan if value is None else value for key, value in line["certified"].items()}, name)
    results = read_json(run.path / METRICS_FILE)
    value = results.get(metric, results.get(f"eval_{name}"))
    return Rate(float(value), float(value), float(value)) if isinstance(value, (int, float)) else None


def metrics_of(run: Run) -> list[str]:
    """Names of the metrics that a run measured, as in ``all_results.json``."""
    attacks = run.published["attacks"].items()
    names = [f"eval_{attack}_{key}" for attack, line in attacks for key in _meaningful_keys(run, attack, line)]
    return list(dict.fromkeys(["eval_accuracy", *names, *read_json(run.path / METRICS_FILE)]))


def _meaningful_keys(run: Run, attack: str, result: Mapping[str, float]) -> list[str]:
    """Keys of an attack's numbers, without a meaningless robust accuracy, which older histories have."""
    return [key for key in result if key != "robust_accuracy" or robust_accuracy_applies(run, attack)]


def default_objectives(runs: Sequence[Run]) -> dict[str, bool]:
    """Clean accuracy and every attack's success rate, each with True if more is better."""
    return {"eval_accuracy": True, **{f"eval_{name}_asr": False for name in rated_attacks(runs)}}


def is_rate(metric: str) -> bool:
    """Whether a metric is a share, so that it is shown in percent."""
    return metric.endswith(_RATES)


def metric_label(metric: str) -> str:
    """Label of a metric in pictures and tables, with an arrow towards better values."""
    name = metric.removeprefix("eval_")
    arrow = "↓" if name.endswith(_LOWER_IS_BETTER) else "↑"
    if name == "accuracy":
        return f"clean accuracy {arrow}"
    return f"{name.replace('_asr', '_ASR').replace('_', ' ')} {arrow}"


# ---- the table ----


def front_points(settings: Sequence[Setting], objectives: Mapping[str, bool]) -> list[tuple[Rate, ...]]:
    """Objectives of each setting; unknown for settings that guess, which are not part of a front."""
    return [tuple(UNKNOWN if one.guesses else one.estimate(metric) for metric in objectives) for one in settings]


def front_of(settings: Sequence[Setting], objectives: Mapping[str, bool]) -> list[int]:
    """Indices of the settings on the Pareto front of the means, from the worst to the best first objective."""
    points = [[rate.value for rate in rates] for rates in front_points(settings, objectives)]
    return pareto_front(points, tuple(objectives.values()))


def sweep_table(settings: Sequence[Setting], objectives: Mapping[str, bool]) -> str:
    """Markdown table with a row for each setting: flags, seeds and objectives; of two objectives the front is marked.

    Rates of a single run have their 95 % Wilson interval, rates of several seeds are mean ± sample standard deviation.
    """
    flags = list(dict.fromkeys(flag for setting in settings for flag in setting.flags))
    on_front = front_of(settings, objectives) if len(objectives) == 2 and len(settings) > 1 else []
    header = [*flags, "seeds", *(_with_unit(metric) for metric in objectives), *(["front"] if on_front else [])]
    rows = []
    for index, setting in enumerate(settings):
        row = [value_text(setting.flags.get(flag, "–")) for flag in flags]
        row += [
            f"{len(setting.runs)}{f' {DAGGER}' if setting.guesses else ''}",
            *(setting_cell(setting, metric) for metric in objectives),
        ]
        rows.append([*row, *([("✓" if index in on_front else "")] if on_front else [])])
    return markdown_table(header, rows)


def value_text(value: Any) -> str:
    """Text of a flag's value in tables and pictures."""
    if isinstance(value, list):
        return " ".join(map(value_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_unit(metric: str) -> str:
    return f"{metric_label(metric)}, %" if is_rate(metric) else metric_label(metric)


def setting_cell(setting: Setting, metric: str) -> str:
    """Text of a metric: a single run with its interval, several seeds as mean ± deviation; rates in percent."""

    def value(run: Run) -> float:
        return (metric_rate(run, metric) or UNKNOWN).value

    def interval(run: Run) -> tuple[float, float] | None:
        rate = metric_rate(run, metric)
        return (rate.low, rate.high) if rate is not None and rate.low < rate.high else None

    if is_rate(metric):
        return over_seeds(setting.runs, value, interval)
    mean, low, _ = setting.estimate(metric)
    if not math.isfinite(mean):
        return "–"
    return f"{mean:.4g}" if setting.count(metric) == 1 else f"{mean:.4g} ± {mean - low:.2g}"


def sweep_note(settings: Sequence[Setting], text: str = CELLS) -> str:
    """Note below the table: meaning of its cells, and numbers of examples."""
    runs = [run for setting in settings for run in setting.runs]
    rows = sorted({run.eval_samples for run in runs if run.eval_samples})
    results = {name: [run.published["attacks"].get(name, {}) for run in runs] for name in rated_attacks(runs)}
    counted = attacked_in_words(results)
    parts = [text]
    if rows:
        parts.append(f"N for clean accuracy: {' to '.join(f'{n:,}' for n in dict.fromkeys((rows[0], rows[-1])))}.")
    if counted:
        parts.append(f"{counted[0].upper()}{counted[1:]}.")
    return " ".join(parts)
