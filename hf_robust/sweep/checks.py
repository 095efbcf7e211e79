"""What can be known to fail before the first run of a sweep: flags, values, metrics that nothing measures."""

from __future__ import annotations

import dataclasses
import difflib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hf_robust.attacks import ATTACKS, goal_of
from hf_robust.attacks.static import FILE_PREFIX
from hf_robust.metrics.keys import ANY_ATTACK_KEYS, RATE_KEYS
from hf_robust.metrics.task import CLASSIFICATION, MULTI_LABEL, REGRESSION, TASK_METRICS
from hf_robust.runs import Flags
from hf_robust.sweep.file import Point, Search, Sweep
from hf_robust.wiring.parsing import Arguments, parse_flags

DATA = "{data}"
ALSO_OF_ATTACKS = tuple(key for key in ANY_ATTACK_KEYS if key not in RATE_KEYS)
OF_TASKS = tuple(dict.fromkeys([*CLASSIFICATION, *MULTI_LABEL, *REGRESSION]))
ALWAYS = ("loss", "runtime", "samples", "samples_per_second", "steps_per_second", "combined_score")
OF_CERTIFICATES = ("certified_", "certify_", "smoothed_", "abstained")


def fill(flags: Flags, data: Path | None) -> Flags:
    """Put the data folder in place of ``{data}``."""

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        return value.replace(DATA, str(data)) if isinstance(value, str) else value

    if data is None and any(DATA in json.dumps(value) for value in flags.values()):
        raise ValueError(f"the arguments name {DATA}: say by --data DIR which folder that is.")
    return {name: filled(value) for name, value in flags.items()}


def check_sweep(sweep: Sweep, data: Path | None) -> None:
    """Parse every point as the script will, and look for its metrics.

    Raises:
        ValueError: a flag, a value or a metric is wrong, in one sentence that names the point.
    """
    points = sweep.points or tuple(corners(sweep.search)) if sweep.search else sweep.points
    with _quiet_parsing():
        parsed = [check_point(point, data) for point in points]
    if sweep.search is None:
        _check_distinct(points, parsed)
    names = [*sweep.objectives, *(metric for figure in sweep.figures for metric in figure.metrics)]
    for metric in dict.fromkeys(names):
        for point, arguments in zip(points, parsed, strict=True):
            _check_metric(metric, arguments, point.name)
    _check_figures(sweep)


def check_point(point: Point, data: Path | None) -> Arguments:
    """Parse the arguments of one run."""
    try:
        found = parse_flags({**fill(point.flags, data), "output_dir": "runs"})
        if not (found.training.do_train and found.training.do_eval):
            raise ValueError('a sweep trains and evaluates: add "do_train": true and "do_eval": true to its args.')
    except ValueError as error:
        raise ValueError(f"the point {point.name}: {error}") from error
    return found


def corners(search: Search) -> Iterator[Point]:
    """The first value of every flag, and every other end of a range and every choice, one flag at a time."""
    first = {name: dimension.ends[0] for name, dimension in search.space.items()}
    yield search.point(first)
    for name, dimension in search.space.items():
        for value in dimension.ends[1:]:
            yield search.point({**first, name: value})


def _check_distinct(points: Sequence[Point], parsed: Sequence[Arguments]) -> None:
    seen: dict[str, Point] = {}
    for point, arguments in zip(points, parsed, strict=True):
        groups = [dataclasses.asdict(one) for one in arguments[:-2] if dataclasses.is_dataclass(one)]
        text = json.dumps([groups, arguments.method.name], sort_keys=True, default=str)
        if text in seen:
            names = f"{seen[text].name} and {point.name}" if seen[text].name != point.name else f"two of {point.name}"
            raise ValueError(f"two points are the same run ({names}): leave one out, or let their seeds differ.")
        seen[text] = point


# ---- metrics ----


def _check_metric(metric: str, arguments: Arguments, point: str) -> None:
    """Refuse a metric that no run will measure."""
    if metric.startswith("train_"):
        return
    name = metric.removeprefix("eval_").removesuffix("_mm")
    attacks = arguments.attack.attacks if arguments.attack.attack_strategy != "no" else []
    attack = _attack_of(name)
    if attack == "union":
        fickle = [one for one in attacks if not (one.startswith(FILE_PREFIX) or goal_of(one).keeps_prediction)]
        if len(fickle) < 2:
            raise ValueError(
                f"{metric} is the worst of several attacks, and the point {point} has {len(fickle)} that want another "
                "prediction."
            )
    elif attack is not None:
        if name.endswith("_robust_accuracy") and attack in ATTACKS and goal_of(attack).keeps_prediction:
            raise ValueError(
                f"{metric} does not exist, since {attack} wants the prediction kept: name eval_{attack}_asr instead."
            )
        if attack not in attacks:
            raise ValueError(
                f"{metric} is measured by the attack {attack}, which the point {point} does not run (its attacks: "
                f'{", ".join(attacks) or "none"}): add it to "attacks", or name another metric.'
            )
    elif name in OF_TASKS:
        measured = _task_metrics(arguments)
        # The history of the attacks has the accuracy of any task.
        if measured and name not in measured and not (name == "accuracy" and attacks):
            raise ValueError(f"{metric} is not measured by the point {point}, which has {', '.join(measured)}.")
    elif name not in ALWAYS and not name.startswith(OF_CERTIFICATES):
        known = [f"eval_{one}" for one in [*OF_TASKS, *ALWAYS, *_metrics_of(attacks)]]
        close = difflib.get_close_matches(metric, known, n=1)
        hint = f"did you mean {close[0]}" if close else "eval_accuracy and eval_<attack>_asr are some that it does"
        raise ValueError(f"{metric} is no metric that a run measures: {hint}.")


def _attack_of(name: str) -> str | None:
    """The attack whose metric this is, by the end of its name."""
    for key in RATE_KEYS:
        if name.endswith(f"_{key}"):
            longer = next((one for one in ALSO_OF_ATTACKS if one.endswith(key) and name.endswith(f"_{one}")), key)
            return name.removesuffix(f"_{longer}")
    for key in ALSO_OF_ATTACKS:
        attack = name.removesuffix(f"_{key}")
        if attack != name and (attack in ATTACKS or attack.startswith("file:")):
            return attack
    return None


def _task_metrics(arguments: Arguments) -> tuple[str, ...]:
    """The task's metrics where they follow from the flags; nothing where the data must be seen."""
    if arguments.data.metric_name is not None:
        return (arguments.data.metric_name,)
    return TASK_METRICS.get(arguments.data.task_name or "", ())


def _metrics_of(attacks: Iterable[str]) -> list[str]:
    return [f"{attack}_{key}" for attack in attacks for key in (*RATE_KEYS, *ALSO_OF_ATTACKS)]


def _check_figures(sweep: Sweep) -> None:
    for figure in sweep.figures:
        for flag in (*figure.x, *(figure.panels or ())):
            if flag not in sweep.varied:
                raise ValueError(f"a figure names {flag}, which does not vary here: {', '.join(sweep.varied)} do.")


@contextmanager
def _quiet_parsing() -> Iterator[None]:
    """Each run logs what its parsing remarks on; here it would come once for every point."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
