"""Runs that differ in a few flags: their settings, what was measured of each, and the table (BAT, Table 4).

Works on any run folders: a flag's value is looked up in ``_arguments.json``, where a sweep left it, then in the run
card. A metric has the name it has in ``all_results.json``, with or without ``eval_``.
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
CELLS = "Rates in percent; of one run with its 95 % Wilson interval, of several mean ± sample standard deviation."
_LOWER_IS_BETTER = ("asr", "median_rise", "loss", "mse", "mae", "seconds", "runtime", "abstained")


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seed only, and the flags that tell them from the other runs of a sweep."""

    flags: dict[str, Any]
    runs: tuple[Run, ...]
    guesses: bool = False
    """Whether a run of it is no, or hardly, better than guessing: an attack on that is no measurement."""

    def estimate(self, metric: str) -> Rate:
        """Of one run its value and interval, of several their mean and a sample standard deviation to both sides."""
        return over_runs(metric_rate(run, metric) or UNKNOWN for run in self.runs)

    def count(self, metric: str) -> int:
        """How many of its runs have a value of a metric."""
        return sum((metric_rate(run, metric) or UNKNOWN).known for run in self.runs)


def load_evaluated(folder: str | Path) -> Run:
    """A run folder; one without attacks has the line of its evaluation for a history.

    Raises:
        ValueError: nothing was measured yet, or a file is malformed.
    """
    folder = Path(folder)
    if (folder / HISTORY_FILE).is_file():
        return load_run(folder)
    card, results = read_card(folder), read_json(folder / METRICS_FILE)
    if not any(name.startswith("eval_") for name in results):
        raise ValueError(f"{folder} was not evaluated yet; run it to its end with --do_eval.")
    line = {
        "epoch": float(results.get("epoch", math.nan)),
        "step": int(card.get("final_step") or 0),
        "accuracy": float(results.get("eval_accuracy", math.nan)),
        "attacks": {},
    }
    return Run(path=folder, history=[line], card=card, best_step=None)


def flag_value(run: Run, flag: str) -> Any:
    """The value that a run had of a flag, the default where nobody gave one; None: it has no such flag."""
    if flag == METHOD:
        return run.method
    given = read_json(run.path / ARGUMENTS_FILE)
    seed = {SEED: run.card.get(SEED)}
    for place in (given, seed, run.card.get("config") or {}, run.card.get("training") or {}):
        if flag in place:
            return place[flag]
    from transformers import TrainingArguments  # the card has what differs from its defaults

    field = TrainingArguments.__dataclass_fields__.get(flag)
    return field.default if field is not None else None


def settings_of(runs: Sequence[Run], flags: Sequence[str]) -> list[Setting]:
    """The runs by their values of these flags, in the order of the runs; a flag that a run lacks is left out."""
    groups: dict[str, tuple[dict[str, Any], list[Run]]] = {}
    for run in runs:
        values = {flag: flag_value(run, flag) for flag in flags if flag != SEED}
        values = {flag: value for flag, value in values.items() if value is not None}
        groups.setdefault(json.dumps(values, sort_keys=True, default=str), (values, []))[1].append(run)
    return [Setting(values, tuple(found), any(map(guesses, found))) for values, found in groups.values()]


# ---- metrics ----


def metric_rate(run: Run, metric: str) -> Rate | None:
    """A metric of the weights that a run kept, with its 95 % interval where one is known; None: it was not measured.

    Rates of an attack and of the clean texts have Wilson's.
    """
    name, line = metric.removeprefix("eval_"), run.published
    for attack, found in line["attacks"].items():
        key = name.removeprefix(f"{attack}_")
        if key != name and key in _with_meaning(run, attack, found):
            return rate_of(found, key)
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
    """The names of what a run measured, as in ``all_results.json``."""
    attacks = run.published["attacks"].items()
    found = [f"eval_{attack}_{key}" for attack, line in attacks for key in _with_meaning(run, attack, line)]
    return list(dict.fromkeys(["eval_accuracy", *found, *read_json(run.path / METRICS_FILE)]))


def _with_meaning(run: Run, attack: str, found: Mapping[str, float]) -> list[str]:
    """The numbers of an attack but a robust accuracy that says nothing, which older histories have."""
    return [key for key in found if key != "robust_accuracy" or robust_accuracy_applies(run, attack)]


def default_objectives(runs: Sequence[Run]) -> dict[str, bool]:
    """Clean accuracy and every attack's success rate, and whether more of it is better."""
    return {"eval_accuracy": True, **{f"eval_{name}_asr": False for name in rated_attacks(runs)}}


def is_rate(metric: str) -> bool:
    """Whether a metric is a share, which is shown in percent."""
    return metric.endswith(_RATES)


def metric_label(metric: str) -> str:
    """A metric as pictures and tables call it, with an arrow to where it is better."""
    name = metric.removeprefix("eval_")
    arrow = "↓" if name.endswith(_LOWER_IS_BETTER) else "↑"
    if name == "accuracy":
        return f"clean accuracy {arrow}"
    return f"{name.replace('_asr', '_ASR').replace('_', ' ')} {arrow}"


# ---- the table ----


def front_points(settings: Sequence[Setting], objectives: Mapping[str, bool]) -> list[tuple[Rate, ...]]:
    """The objectives of each setting, unknown where a run guesses: that is no point of a front."""
    return [tuple(UNKNOWN if one.guesses else one.estimate(metric) for metric in objectives) for one in settings]


def front_of(settings: Sequence[Setting], objectives: Mapping[str, bool]) -> list[int]:
    """Indices of the settings that no other beats in every objective, by their means, the best of the first last."""
    points = [[rate.value for rate in rates] for rates in front_points(settings, objectives)]
    return pareto_front(points, tuple(objectives.values()))


def sweep_table(settings: Sequence[Setting], objectives: Mapping[str, bool]) -> str:
    """A row for each setting: its flags, how many seeds, N, and each objective; two objectives mark their front.

    One run's rates carry their 95 % Wilson interval, several seeds mean ± sample standard deviation.
    """
    flags = list(dict.fromkeys(flag for setting in settings for flag in setting.flags))
    on_front = front_of(settings, objectives) if len(objectives) == 2 and len(settings) > 1 else []
    header = [*flags, "seeds", *(_with_unit(metric) for metric in objectives), *(["front"] if on_front else [])]
    rows = []
    for index, setting in enumerate(settings):
        row = [value_text(setting.flags.get(flag, "–")) for flag in flags]
        row += [
            f"{len(setting.runs)}{f' {DAGGER}' if setting.guesses else ''}",
            *(_cell(setting, metric) for metric in objectives),
        ]
        rows.append([*row, *([("✓" if index in on_front else "")] if on_front else [])])
    return markdown_table(header, rows)


def value_text(value: Any) -> str:
    """A flag's value in a table or a picture."""
    if isinstance(value, list):
        return " ".join(map(value_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_unit(metric: str) -> str:
    return f"{metric_label(metric)}, %" if is_rate(metric) else metric_label(metric)


def _cell(setting: Setting, metric: str) -> str:
    def value(run: Run) -> float:
        return (metric_rate(run, metric) or UNKNOWN).value

    def interval(run: Run) -> tuple[float, float] | None:
        found = metric_rate(run, metric)
        return (found.low, found.high) if found is not None and found.low < found.high else None

    if is_rate(metric):
        return over_seeds(setting.runs, value, interval)
    mean, low, _ = setting.estimate(metric)
    if not math.isfinite(mean):
        return "–"
    return f"{mean:.4g}" if setting.count(metric) == 1 else f"{mean:.4g} ± {mean - low:.2g}"


def sweep_note(settings: Sequence[Setting], text: str = CELLS) -> str:
    """What the cells of the table mean, and over how many examples they are."""
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
