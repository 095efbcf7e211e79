"""Check the runs of a sweep before the first one starts: flags, values, and metrics that no run measures."""

from __future__ import annotations

import dataclasses
import difflib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.attacks import ATTACKS, AttackArguments, goal_of
from hf_robust.attacks.arguments import STANDARD
from hf_robust.attacks.standard import RESOURCE_FLAGS
from hf_robust.attacks.static import named_files
from hf_robust.metrics.keys import ANY_ATTACK_KEYS, RATE_KEYS
from hf_robust.metrics.task import BUILT_IN, TASK_METRICS, possible_metrics
from hf_robust.runs import Flags
from hf_robust.sweep.file import Point, Search, Sweep

if TYPE_CHECKING:
    from hf_robust.wiring.parsing import Arguments

DATA = "{data}"
"""Placeholder for the data folder in the arguments of a sweep."""
OTHER_ATTACK_KEYS = tuple(key for key in ANY_ATTACK_KEYS if key not in RATE_KEYS)
COMMON_METRICS = ("loss", "runtime", "samples", "samples_per_second", "steps_per_second", "combined_score")
CERTIFICATE_PREFIXES = ("certified_", "certify_", "smoothed_", "abstained")


def fill(flags: Flags, data: Path | None) -> Flags:
    """Replace ``{data}`` by the data folder.

    Raises:
        ValueError: the arguments have ``{data}`` and no folder is given.
    """

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(item) for item in value]
        return value.replace(DATA, str(data)) if isinstance(value, str) else value

    if data is None and any(DATA in json.dumps(value) for value in flags.values()):
        raise ValueError(f"the arguments have {DATA}, the folder of the data: give the folder by --data DIR.")
    return {name: filled(value) for name, value in flags.items()}


def check_sweep(sweep: Sweep, data: Path | None) -> None:
    """Parse every point as the script will, and check that its runs measure the metrics of the sweep.

    Raises:
        ValueError: a flag, a value or a metric is wrong, in one sentence that names the point.
    """
    points = sweep.points or tuple(corners(sweep.search)) if sweep.search else sweep.points
    with quiet_parsing():
        parsed = [check_point(point, data) for point in points]
    if sweep.search is None:
        _check_distinct(points, parsed)
    _check_one_standard(points, parsed)
    names = [*sweep.objectives, *(metric for figure in sweep.figures for metric in figure.metrics)]
    for metric in dict.fromkeys(names):
        for point, arguments in zip(points, parsed, strict=True):
            check_metric(metric, arguments, point.name)
    _check_figures(sweep)


def check_point(point: Point, data: Path | None) -> Arguments:
    """Parse the arguments of one run."""
    from hf_robust.wiring.parsing import parse_flags  # imports transformers, which takes seconds

    try:
        arguments = parse_flags({**fill(point.flags, data), "output_dir": "runs"})
        if not (arguments.training.do_train and arguments.training.do_eval):
            raise ValueError('a sweep trains and evaluates: add "do_train": true and "do_eval": true to its args.')
    except ValueError as error:
        raise ValueError(f"the point {point.name}: {error}") from error
    return arguments


def corners(search: Search) -> Iterator[Point]:
    """Yield the point of all first values, and points that change one flag to another choice or end of its range."""
    first = {name: dimension.ends[0] for name, dimension in search.space.items()}
    yield search.point(first)
    for name, dimension in search.space.items():
        for value in dimension.ends[1:]:
            yield search.point({**first, name: value})


def _check_one_standard(points: Sequence[Point], parsed: Sequence[Arguments]) -> None:
    """Refuse points whose standard evaluations have different resources, since their numbers cannot be compared."""
    named = [
        (point.name, arguments.attack)
        for point, arguments in zip(points, parsed, strict=True)
        if STANDARD in arguments.attack.attacks and arguments.attack.attack_strategy != "no"
    ]
    for flag in RESOURCE_FLAGS:
        values = {str(_resource(attack, flag)): name for name, attack in named}
        if len(values) > 1:
            (one, first), (other, second), *_ = values.items()
            raise ValueError(
                f"the points {first} and {second} measure by the standard with other resources (--{flag} {one} and "
                f"{other}), and their numbers cannot be compared: give all points the same, such as one "
                "--attack_lexicon, or name other attacks."
            )


def _resource(attack: AttackArguments, flag: str) -> Any:
    return attack.synonym_source() if flag == "lexicon" else getattr(attack, flag)


def _check_distinct(points: Sequence[Point], parsed: Sequence[Arguments]) -> None:
    by_arguments: dict[str, Point] = {}
    for point, arguments in zip(points, parsed, strict=True):
        groups = [dataclasses.asdict(group) for group in arguments[:-2] if dataclasses.is_dataclass(group)]
        text = json.dumps([groups, arguments.method.name], sort_keys=True, default=str)
        if text in by_arguments:
            other = by_arguments[text].name
            names = f"{other} and {point.name}" if other != point.name else f"two of {point.name}"
            raise ValueError(f"two points are the same run ({names}): leave one out, or give them different seeds.")
        by_arguments[text] = point


# ---- metrics ----


def check_metric(metric: str, arguments: Arguments, point: str) -> None:
    """Refuse a metric that the run of a point does not measure.

    Raises:
        ValueError: the metric does not exist, or the run does not measure it.
    """
    if metric.startswith("train_"):
        return
    name = metric.removeprefix("eval_").removesuffix("_mm")
    given = arguments.attack if arguments.attack.attack_strategy != "no" else None
    attacks = [*given.names, *named_files(given.attacks)] if given is not None else []
    attack = _attack_of(name)
    if attack == "union":
        fickle = [name for name in given.names if not goal_of(name).keeps_prediction] if given is not None else []
        if len(fickle) < 2:
            raise ValueError(
                f"{metric} is the worst case over two or more fickle attacks, and the point {point} has "
                f"{len(fickle)}: add "
                "attacks, or name another metric."
            )
    elif attack is not None:
        if name.endswith("_robust_accuracy") and attack in ATTACKS and goal_of(attack).keeps_prediction:
            raise ValueError(
                f"{metric} does not exist, since {attack} is an obstinate attack: name eval_{attack}_asr instead."
            )
        if attack not in attacks:
            raise ValueError(
                f"{metric} is measured by the attack {attack}, which the point {point} does not run (its attacks: "
                f'{", ".join(attacks) or "none"}): add it to "attacks", or name another metric.'
            )
    elif name in BUILT_IN:
        measured = _task_metrics(arguments)
        # With attacks, accuracy is measured for every task.
        if measured and name not in measured and not (name == "accuracy" and attacks):
            raise ValueError(f"{metric} is not measured by the point {point}: name one of {', '.join(measured)}.")
    elif possible_metrics(None, arguments.data.metric_name) is None:
        return  # the scores of a loaded metric are known when it is tried, before training
    elif name not in COMMON_METRICS and not name.startswith(CERTIFICATE_PREFIXES):
        known = [f"eval_{key}" for key in [*BUILT_IN, *COMMON_METRICS, *_metrics_of(attacks)]]
        close = difflib.get_close_matches(metric, known, n=1)
        hint = f"did you mean {close[0]}" if close else "name a metric such as eval_accuracy or eval_<attack>_asr"
        raise ValueError(f"{metric} is not a metric of a run: {hint}.")


def _attack_of(name: str) -> str | None:
    """Return the attack of a metric, by the end of the metric's name; None if it is not of an attack."""
    for key in RATE_KEYS:
        if name.endswith(f"_{key}"):
            longer = next(
                (other for other in OTHER_ATTACK_KEYS if other.endswith(key) and name.endswith(f"_{other}")), key
            )
            return name.removesuffix(f"_{longer}")
    for key in OTHER_ATTACK_KEYS:
        attack = name.removesuffix(f"_{key}")
        if attack != name and (attack in ATTACKS or attack == STANDARD or attack.startswith("file:")):
            return attack
    return None


def _task_metrics(arguments: Arguments) -> tuple[str, ...]:
    """Return the task's metrics if the flags determine them; empty if they depend on the data or on loaded metrics."""
    if arguments.data.metric_name:
        return possible_metrics(None, arguments.data.metric_name) or ()
    return TASK_METRICS.get(arguments.data.task_name or "", ())


def _metrics_of(attacks: Iterable[str]) -> list[str]:
    return [f"{attack}_{key}" for attack in attacks for key in (*RATE_KEYS, *OTHER_ATTACK_KEYS)]


def _check_figures(sweep: Sweep) -> None:
    for figure in sweep.figures:
        for flag in (*figure.x, *(figure.panels or ())):
            if flag not in sweep.varied:
                raise ValueError(
                    f"a figure names {flag}, which does not vary in this sweep: name one of {', '.join(sweep.varied)}."
                )


@contextmanager
def quiet_parsing() -> Iterator[None]:
    """Silence warnings of parsing, which each run logs itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
