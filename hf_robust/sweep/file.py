"""Read the file of a sweep: which arguments its runs have, and what they are compared in.

A file holds ``args`` (flags of run_glue_robust.py) or ``args_file`` (such a file, found from the sweep file's folder;
``args`` override it), and either a grid or a search:

- ``grid``: flag -> values, all combinations; ``points``: a list of flags that change together; ``blocks``: a list of
  objects with ``args``, ``args_file``, ``grid``, ``points`` of their own, for methods with different flags. What
  stands beside the blocks holds for each of them.
- ``search``: flag -> ``{"low", "high", "log"}`` (whole numbers where both ends are) or ``{"choices": [...]}``, with
  ``trials`` and ``seed``.

``objectives`` maps metrics to ``maximize`` or ``minimize``, ``figures`` names pictures. Keys that begin with _ are
remarks.
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
OF_A_BLOCK = ("args", "args_file", "grid", "points")
KEYS = (*OF_A_BLOCK, "blocks", "search", "trials", "seed", "objectives", "figures")
BY_THE_SWEEP = ("output_dir", "resume_from_checkpoint")
LONGEST_NAME = 100


@dataclass(frozen=True)
class Point:
    """The arguments of one run, and which of them tell it from the other points."""

    flags: Flags
    varied: tuple[str, ...]

    @property
    def key(self) -> str:
        """A hash of the arguments, whatever the order they stand in."""
        text = json.dumps({name: _plain(value) for name, value in self.flags.items()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """What is varied, fit for a folder: ``bat_triplet-per_device_train_batch_size8-seed1``."""
        given = [(flag, self.flags[flag]) for flag in self.varied if flag in self.flags]
        parts = [_word(value) if flag == METHOD else f"{flag}{_word(value)}" for flag, value in given]
        return "-".join(parts)[:LONGEST_NAME] or "run"


@dataclass(frozen=True)
class Dimension:
    """The values that a search may give one flag: ``choices``, or numbers from ``low`` to ``high``."""

    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that are tried out by the parser: where they pass, what lies between does too."""
        return self.choices or (self.low, self.high)

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are drawn, as from whole ends."""
        return not self.choices and isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def text(self) -> str:
        """What it says, for people."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        kind = ", whole numbers" if self.is_whole else ""
        return f"{self.low:g} to {self.high:g}{kind}{', by its logarithm' if self.log else ''}"


@dataclass(frozen=True)
class Search:
    """A search for the best values of some flags beside fixed ones."""

    flags: Flags
    space: dict[str, Dimension]
    trials: int
    seed: int

    def point(self, values: Mapping[str, Any]) -> Point:
        return Point({**self.flags, **values}, tuple(self.space))


@dataclass(frozen=True)
class FigureRequest:
    """A picture: the flags on its x axis (several where they change together), its metrics, a panel for each ..."""

    x: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    panels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says."""

    points: tuple[Point, ...]
    search: Search | None
    objectives: dict[str, str]
    figures: tuple[FigureRequest, ...]
    axes: tuple[tuple[str, ...], ...]
    """Flags that take several values, those of ``points`` together."""

    @property
    def varied(self) -> tuple[str, ...]:
        return tuple(self.search.space) if self.search else self.points[0].varied


def read_sweep(file: Path) -> Sweep:
    """Read and check a sweep file; its flags are checked by `hf_robust.sweep.checks.check_points`.

    Raises:
        ValueError: what is wrong with it, in one sentence.
    """
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the sweep file {file} cannot be read: {error}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"the sweep file {file} is not JSON: {error}.") from error
    try:
        return _sweep(given, file.parent)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _sweep(given: Any, folder: Path) -> Sweep:
    given = _object(given, "a sweep file")
    _check_keys(given, KEYS, "a sweep file")
    objectives, figures = _objectives(given.get("objectives", {})), _figures(given.get("figures", []))
    if "search" in given:
        search = _search(given, folder)
        if not objectives:
            raise ValueError('a search needs what it is to improve: give "objectives": {"eval_accuracy": "maximize"}.')
        return Sweep((), search, objectives, figures, tuple((name,) for name in search.space))
    for key in ("trials", "seed"):
        if key in given:
            raise ValueError(f'"{key}" belongs to a search, and this is a grid; seeds of runs go into "grid".')
    points, axes = _grid_points(given, folder)
    return Sweep(points, None, objectives, figures, axes)


# ---- a grid ----


def _grid_points(given: Mapping[str, Any], folder: Path) -> tuple[tuple[Point, ...], tuple[tuple[str, ...], ...]]:
    blocks = given.get("blocks", [{}])
    if not isinstance(blocks, list) or not blocks:
        raise ValueError(f'"blocks" must be a list of objects with one at least, got {json.dumps(blocks)}.')
    for block in blocks:
        _check_keys(_object(block, "a block"), OF_A_BLOCK, "a block")
    shared = [key for key in ("grid", "points") if key in given]
    if not shared and not any("grid" in block or "points" in block for block in blocks) and len(blocks) == 1:
        raise ValueError('there is nothing to sweep: give "grid" (flag -> values), "points", "blocks" or "search".')
    fixed = _args(given, folder)
    own = [_args(block, folder) for block in blocks]
    lists = [[*_axes(given), *_axes(block)] for block in blocks]
    swept = [[name for axis in axes for name in axis[0]] for axes in lists]
    for one in swept:
        twice = [name for name in one if one.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is varied twice; name it in one place.")
    axes = tuple(dict.fromkeys(tuple(axis[0]) for found in lists for axis in found if len(axis) > 1))
    varied = _varied([{**fixed, **args} for args in own], [axis for found in lists for axis in found])
    points = [
        Point({**fixed, **args, **{name: value for part in parts for name, value in part.items()}}, varied)
        for args, found in zip(own, lists, strict=True)
        for parts in itertools.product(*found)
    ]
    names = {name for one in swept for name in one}
    return tuple(Point(_own(one.flags, names), one.varied) for one in points), axes


def _axes(block: Mapping[str, Any]) -> list[list[Flags]]:
    """What is combined with each other: the points of a block, and the values of each flag of its grid."""
    found = []
    if "points" in block:
        points = block["points"]
        if not isinstance(points, list) or not points:
            raise ValueError(f'"points" must be a list of objects with one at least, got {json.dumps(points)}.')
        found.append([without_remarks(dict(_object(point, "a point"))) for point in points])
        if any(set(point) != set(found[0][0]) for point in found[0]) or not found[0][0]:
            raise ValueError(f'every one of "points" must name the same flags, got {json.dumps(points)}.')
    grid = _object(block.get("grid", {}), '"grid"')
    if "grid" in block and not without_remarks(dict(grid)):
        raise ValueError('"grid" is empty: give flags and their values, such as {"seed": [1, 2, 3]}.')
    for name, values in without_remarks(dict(grid)).items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"the grid's {name} needs a list of values with one at least, got {json.dumps(values)}.")
        found.append([{name: value} for value in values])
    return found


def _varied(fixed: Sequence[Flags], axes: Iterable[Sequence[Flags]]) -> tuple[str, ...]:
    """Flags that tell points apart: the method, what sets blocks of one method apart, what the grid varies, the seed.

    Flags of a block that follow from its method are none of them.
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


def _search(given: Mapping[str, Any], folder: Path) -> Search:
    for key in ("grid", "points", "blocks"):
        if key in given:
            raise ValueError(f'a file is a grid or a search, and this one has "{key}" and "search"; make two of it.')
    space = {
        name: _dimension(name, one) for name, one in _object(given["search"], '"search"').items() if name[0] != "_"
    }
    if not space:
        raise ValueError('"search" is empty: give flags with {"low", "high"} or {"choices"}.')
    trials: Any = given.get("trials")
    seed = given.get("seed", 0)
    if not _is_whole(trials) or trials < 1:
        raise ValueError(f'a search needs "trials", how many runs it may do, a whole number from 1, got {trials}.')
    if not _is_whole(seed) or seed < 0:
        raise ValueError(f'"seed" of a search is a whole number from 0, got {json.dumps(seed)}.')
    return Search(_own(_args(given, folder), space), space, trials, seed)


def _dimension(name: str, given: Any) -> Dimension:
    said = f"the search's {name}"
    given = _object(given, said)
    if "choices" in given:
        _check_keys(given, ("choices",), said)
        choices = given["choices"]
        if not isinstance(choices, list) or not choices or any(isinstance(one, (list, dict)) for one in choices):
            raise ValueError(f"{said} needs a list of numbers or texts as choices, got {json.dumps(choices)}.")
        return Dimension(choices=tuple(dict.fromkeys(choices)))
    _check_keys(given, ("low", "high", "log"), said)
    low, high, log = given.get("low"), given.get("high"), given.get("log", False)
    if not _is_number(low) or not _is_number(high) or low >= high:
        raise ValueError(f'{said} needs numbers "low" < "high", or "choices", got {json.dumps(given)}.')
    if not isinstance(log, bool) or (log and low <= 0):
        raise ValueError(f'{said} can be searched by its logarithm ("log": true) from a low above 0 only, got {low}.')
    return Dimension(low=low, high=high, log=log)


# ---- what both have ----


def _args(block: Mapping[str, Any], folder: Path) -> Flags:
    """Flags of a file or block: those of its ``args_file``, overridden by its ``args``."""
    flags: Flags = {}
    if "args_file" in block:
        if not isinstance(block["args_file"], str):
            raise ValueError(f'"args_file" must be the name of a file, got {json.dumps(block["args_file"])}.')
        flags = read_args_file(str(folder / block["args_file"]))
    return {**flags, **without_remarks(dict(_object(block.get("args", {}), '"args"')))}


def _objectives(given: Any) -> dict[str, str]:
    objectives = {name: way for name, way in _object(given, '"objectives"').items() if not name.startswith("_")}
    for name, way in objectives.items():
        if way not in DIRECTIONS:
            close = difflib.get_close_matches(str(way), DIRECTIONS, n=1)
            hint = f"did you mean {close[0]}" if close else f"choose one of {', '.join(DIRECTIONS)}"
            raise ValueError(f"the objective {name} has the direction {json.dumps(way)}: {hint}.")
    return objectives


def _figures(given: Any) -> tuple[FigureRequest, ...]:
    if not isinstance(given, list):
        raise ValueError(f'"figures" must be a list of objects, got {json.dumps(given)}.')
    found = []
    for one in given:
        _check_keys(_object(one, "a figure"), ("x", "metrics", "panel"), "a figure")
        x, metrics, panel = (_names(one.get(key), key) for key in ("x", "metrics", "panel"))
        if not x:
            raise ValueError(f'a figure needs "x", a flag that takes several values, got {json.dumps(one)}.')
        found.append(FigureRequest(x, metrics, panel if "panel" in one else None))
    return tuple(found)


def _names(value: Any, key: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f'"{key}" of a figure is a name or a list of names, got {json.dumps(value)}.')
    return tuple(names)


def _check_keys(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in given:
        if key not in known and not key.startswith("_"):
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}" if close else f"it has {', '.join(known)}"
            raise ValueError(f'{where} has no "{key}": {hint}.')


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be an object, got {json.dumps(value)}.")
    return value


def _own(flags: Flags, varied: Iterable[str]) -> Flags:
    """Without the folder, which an args file may name and the sweep gives; it gives the checkpoint too."""
    for flag in BY_THE_SWEEP:
        if flag in varied or (flag in flags and flag != "output_dir"):
            raise ValueError(f"{flag} is given by the sweep to each run; leave it out.")
    return {name: value for name, value in flags.items() if name not in BY_THE_SWEEP}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """``3.0`` and ``3`` are one value."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _word(value: Any) -> str:
    """A value as part of a folder's name."""
    text = "+".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else None
    return re.sub(r"[^\w.+-]+", "_", json.dumps(_plain(value)) if text is None else Path(text).name)
