"""Read a sweep file: the arguments of its runs, and the metrics that they are compared by.

A file has ``args`` (flags of run_glue_robust.py) or ``args_file`` (a file of flags, relative to the sweep file, which
``args`` override), and either a grid or a search:

- ``grid``: flag -> values, all combinations; ``points``: a list of flags that change together; ``blocks``: a list of
  objects with their own ``args``, ``args_file``, ``grid`` and ``points``, for methods with different flags. Keys
  outside the blocks apply to each of them.
- ``search``: flag -> ``{"low", "high", "log"}`` (integers if both ends are) or ``{"choices": [...]}``, with ``trials``
  and ``seed``.

``objectives`` maps metrics to ``maximize`` or ``minimize``. ``figures`` lists pictures. Keys that begin with _ are
comments.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_robust.runs import Flags, read_args_file, without_remarks

DIRECTIONS = ("maximize", "minimize")
METHOD, SEED = "robust_method", "seed"
BLOCK_KEYS = ("args", "args_file", "grid", "points")
KEYS = (*BLOCK_KEYS, "blocks", "search", "trials", "seed", "objectives", "figures")
SET_BY_SWEEP = ("output_dir", "resume_from_checkpoint")
"""Flags that the sweep sets for each run."""
MAX_NAME_LENGTH = 100


@dataclass(frozen=True)
class Point:
    """The arguments of one run, the flags by which it differs from the other points, and a name in place of these."""

    flags: Flags
    varied: tuple[str, ...]
    label: str = ""

    @property
    def key(self) -> str:
        """A hash of the arguments that does not depend on their order."""
        text = json.dumps({name: _plain(value) for name, value in self.flags.items()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """The label, else a name made of the varied flags: ``bat_triplet-per_device_train_batch_size8-seed1``."""
        if self.label:
            return self.label[:MAX_NAME_LENGTH]
        values = [(flag, self.flags[flag]) for flag in self.varied if flag in self.flags]
        parts = [_folder_part(value) if flag == METHOD else f"{flag}{_folder_part(value)}" for flag, value in values]
        return "-".join(parts)[:MAX_NAME_LENGTH] or "run"


@dataclass(frozen=True)
class Dimension:
    """The values that a search may give one flag: ``choices``, or numbers from ``low`` to ``high``."""

    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that are checked before a search: if the ends are valid, the values between are too."""
        return self.choices or (self.low, self.high)

    @property
    def is_whole(self) -> bool:
        """Whether only integers are drawn, because both ends are integers."""
        return not self.choices and isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def text(self) -> str:
        """A description for people."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        kind = ", integers" if self.is_whole else ""
        return f"{self.low:g} to {self.high:g}{kind}{', on a log scale' if self.log else ''}"


@dataclass(frozen=True)
class Search:
    """A search for the best values of some flags; the other flags are fixed."""

    flags: Flags
    space: dict[str, Dimension]
    trials: int
    seed: int

    def point(self, values: Mapping[str, Any]) -> Point:
        """Return the point with these values of the searched flags."""
        return Point({**self.flags, **values}, tuple(self.space))


@dataclass(frozen=True)
class FigureRequest:
    """A picture: the flags on its x axis (several if they change together), its metrics, the flags of its panels."""

    x: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    panels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Sweep:
    """Content of a sweep file."""

    points: tuple[Point, ...]
    search: Search | None
    objectives: dict[str, str]
    figures: tuple[FigureRequest, ...]
    axes: tuple[tuple[str, ...], ...]
    """Flags that take several values; flags of ``points`` form one group."""

    @property
    def varied(self) -> tuple[str, ...]:
        return tuple(self.search.space) if self.search else self.points[0].varied


def read_sweep(file: Path) -> Sweep:
    """Read and check a sweep file; `hf_robust.sweep.checks.check_sweep` checks its flags.

    Raises:
        ValueError: the file cannot be read or is wrong; one sentence says how.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the sweep file {file} cannot be read: {error}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"the sweep file {file} is not JSON: {error}.") from error
    try:
        return _sweep(content, file.parent)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _sweep(content: Any, folder: Path) -> Sweep:
    content = _object(content, "a sweep file")
    _check_keys(content, KEYS, "a sweep file")
    objectives, figures = _objectives(content.get("objectives", {})), _figures(content.get("figures", []))
    if "search" in content:
        search = _search(content, folder)
        if not objectives:
            raise ValueError('a search needs an objective: give "objectives", such as {"eval_accuracy": "maximize"}.')
        return Sweep((), search, objectives, figures, tuple((name,) for name in search.space))
    for key in ("trials", "seed"):
        if key in content:
            raise ValueError(f'"{key}" belongs to a search, and this is a grid: put seeds of runs into "grid".')
    points, axes = _grid_points(content, folder)
    return Sweep(points, None, objectives, figures, axes)


# ---- a grid ----


def _grid_points(content: Mapping[str, Any], folder: Path) -> tuple[tuple[Point, ...], tuple[tuple[str, ...], ...]]:
    blocks = content.get("blocks", [{}])
    if not isinstance(blocks, list) or not blocks:
        raise ValueError(f'"blocks" must be a list of at least one object, got {json.dumps(blocks)}.')
    for block in blocks:
        _check_keys(_object(block, "a block"), BLOCK_KEYS, "a block")
    shared = [key for key in ("grid", "points") if key in content]
    if not shared and not any("grid" in block or "points" in block for block in blocks) and len(blocks) == 1:
        raise ValueError('there is nothing to sweep: give "grid" (flag -> values), "points", "blocks" or "search".')
    shared_args = _args(content, folder)
    block_args = [_args(block, folder) for block in blocks]
    block_axes = [[*_axes(content), *_axes(block)] for block in blocks]
    swept = [[name for axis in axes for name in axis[0]] for axes in block_axes]
    for names in swept:
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is varied twice: name it in one place.")
    all_axes = [axis for axes in block_axes for axis in axes]
    varied = _varied([{**shared_args, **args} for args in block_args], all_axes)
    points = [
        Point({**shared_args, **args, **{name: value for part in parts for name, value in part.items()}}, varied)
        for args, axes in zip(block_args, block_axes, strict=True)
        for parts in itertools.product(*axes)
    ]
    swept_names = {name for names in swept for name in names}
    long_axes = tuple(dict.fromkeys(tuple(axis[0]) for axis in all_axes if len(axis) > 1))
    return tuple(Point(_without_sweep_flags(point.flags, swept_names), point.varied) for point in points), long_axes


def _axes(block: Mapping[str, Any]) -> list[list[Flags]]:
    """Return the lists to combine: the points of a block, and the values of each flag of its grid."""
    axes = []
    if "points" in block:
        points = block["points"]
        if not isinstance(points, list) or not points:
            raise ValueError(f'"points" must be a list of at least one object, got {json.dumps(points)}.')
        axes.append([without_remarks(dict(_object(point, "a point"))) for point in points])
        if any(set(point) != set(axes[0][0]) for point in axes[0]) or not axes[0][0]:
            raise ValueError(f'all "points" must name the same flags, got {json.dumps(points)}.')
    grid = _object(block.get("grid", {}), '"grid"')
    if "grid" in block and not without_remarks(dict(grid)):
        raise ValueError('"grid" is empty: give flags and their values, such as {"seed": [1, 2, 3]}.')
    for name, values in without_remarks(dict(grid)).items():
        if not isinstance(values, list) or not values:
            raise ValueError(f'{name} in "grid" must be a list of at least one value, got {json.dumps(values)}.')
        axes.append([{name: value} for value in values])
    return axes


def _varied(fixed: Sequence[Flags], axes: Iterable[Sequence[Flags]]) -> tuple[str, ...]:
    """Return the flags by which points differ, the method first and the seed last.

    They are flags of the grid, and flags that differ between blocks of one method. A flag that only differs between
    blocks of different methods does not count.
    """
    methods = [flags.get(METHOD) for flags in fixed]
    swept = list(dict.fromkeys(name for axis in axes for name in axis[0]))
    varied = [METHOD] if len(set(methods)) > 1 and METHOD not in swept else []
    for name in dict.fromkeys(name for flags in fixed for name in flags):
        texts = {(method, json.dumps(flags.get(name))) for method, flags in zip(methods, fixed, strict=True)}
        if len(texts) > len(set(methods)) and name not in (METHOD, "output_dir", *swept):
            varied.append(name)
    varied += swept
    return tuple(sorted(varied, key=lambda name: (name != METHOD) + 2 * (name == SEED)))


# ---- a search ----


def _search(content: Mapping[str, Any], folder: Path) -> Search:
    for key in ("grid", "points", "blocks"):
        if key in content:
            raise ValueError(f'a file is a grid or a search, and this one has "{key}" and "search": make two files.')
    ranges = _object(content["search"], '"search"')
    space = {name: _dimension(name, values) for name, values in ranges.items() if name[0] != "_"}
    if not space:
        raise ValueError('"search" is empty: give flags with {"low", "high"} or {"choices"}.')
    trials: Any = content.get("trials")
    seed = content.get("seed", 0)
    if not _is_integer(trials) or trials < 1:
        raise ValueError(f'"trials", the maximum number of runs of a search, must be an integer from 1, got {trials}.')
    if not _is_integer(seed) or seed < 0:
        raise ValueError(f'"seed" of a search must be an integer from 0, got {json.dumps(seed)}.')
    return Search(_without_sweep_flags(_args(content, folder), space), space, trials, seed)


def _dimension(name: str, values: Any) -> Dimension:
    where = f'{name} in "search"'
    values = _object(values, where)
    if "choices" in values:
        _check_keys(values, ("choices",), where)
        choices = values["choices"]
        if not isinstance(choices, list) or not choices or any(isinstance(item, (list, dict)) for item in choices):
            raise ValueError(f"{where} needs a list of numbers or texts as choices, got {json.dumps(choices)}.")
        return Dimension(choices=tuple(dict.fromkeys(choices)))
    _check_keys(values, ("low", "high", "log"), where)
    low, high, log = values.get("low"), values.get("high"), values.get("log", False)
    if not _is_number(low) or not _is_number(high) or low >= high:
        raise ValueError(f'{where} needs numbers "low" < "high", or "choices", got {json.dumps(values)}.')
    if not isinstance(log, bool) or (log and low <= 0):
        raise ValueError(f'{where} with "log": true needs a "low" above 0, got {low}.')
    return Dimension(low=low, high=high, log=log)


# ---- grids and searches ----


def _args(block: Mapping[str, Any], folder: Path) -> Flags:
    """Return the flags of a file or block: those of its ``args_file``, overridden by its ``args``."""
    flags: Flags = {}
    if "args_file" in block:
        if not isinstance(block["args_file"], str):
            raise ValueError(f'"args_file" must be the name of a file, got {json.dumps(block["args_file"])}.')
        flags = read_args_file(str(folder / block["args_file"]))
    return {**flags, **without_remarks(dict(_object(block.get("args", {}), '"args"')))}


def _objectives(value: Any) -> dict[str, str]:
    objectives = without_remarks(dict(_object(value, '"objectives"')))
    for name, direction in objectives.items():
        if direction not in DIRECTIONS:
            close = difflib.get_close_matches(str(direction), DIRECTIONS, n=1)
            hint = f"did you mean {close[0]}" if close else f"choose one of {', '.join(DIRECTIONS)}"
            raise ValueError(f"the objective {name} has the direction {json.dumps(direction)}: {hint}.")
    return objectives


def _figures(value: Any) -> tuple[FigureRequest, ...]:
    if not isinstance(value, list):
        raise ValueError(f'"figures" must be a list of objects, got {json.dumps(value)}.')
    requests = []
    for figure in value:
        _check_keys(_object(figure, "a figure"), ("x", "metrics", "panel"), "a figure")
        x, metrics, panel = (_names(figure.get(key), key) for key in ("x", "metrics", "panel"))
        if not x:
            raise ValueError(f'a figure needs "x", a flag that takes several values, got {json.dumps(figure)}.')
        requests.append(FigureRequest(x, metrics, panel if "panel" in figure else None))
    return tuple(requests)


def _names(value: Any, key: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f'"{key}" of a figure must be a name or a list of names, got {json.dumps(value)}.')
    return tuple(names)


def _check_keys(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in content:
        if key not in known and not key.startswith("_"):
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}" if close else f"its keys are {', '.join(known)}"
            raise ValueError(f'{where} has no key "{key}": {hint}.')


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be an object, got {json.dumps(value)}.")
    return value


def _without_sweep_flags(flags: Flags, varied: Iterable[str]) -> Flags:
    """Remove the output folder, which an args file may name; refuse the other flags that the sweep sets."""
    for flag in SET_BY_SWEEP:
        if flag in varied or (flag in flags and flag != "output_dir"):
            raise ValueError(f"{flag} is set by the sweep for each run: leave it out.")
    return {name: value for name, value in flags.items() if name not in SET_BY_SWEEP}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Write ``3.0`` as ``3``, so that both have one hash."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _folder_part(value: Any) -> str:
    """Write a value as part of a folder name."""
    text = "+".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else None
    return re.sub(r"[^\w.+-]+", "_", json.dumps(_plain(value)) if text is None else Path(text).name)
