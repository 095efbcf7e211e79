"""Experiment files whose runs are those of `hf-robust reproduce`.

Such a file has ``paper`` in place of arguments:

- ``name``, ``items`` and ``scale``: a paper, items of it and a scale of `hf_robust.reproduce`;
- ``data`` and ``model``: the data set and the model whose runs these are;
- ``seeds``, in place of the items' own;
- ``names``, where the study calls a setting otherwise: setting -> name, or a list of names in the order of ``over``.

`benchmarks.study.reproduced` takes the finished runs over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.study.paired import read
from hf_robust.reproduce.item import read_item, with_seeds
from hf_robust.reproduce.plan import Cell, Plan, catalog
from hf_robust.reproduce.scale import MODEL, scale_of
from hf_robust.runs import Flags
from hf_robust.sweep.file import Point

PAPER = "paper"


class PaperRun(NamedTuple):
    """A run of an item: what the study calls its setting, its seed, the setting's own flags, and all of them."""

    name: str
    seed: int
    setting: Flags
    point: Point


def spec_of(file: Path) -> dict[str, Any]:
    """Content of an experiment file; one with ``paper`` gets the ``settings`` and ``args`` of its runs.

    Raises:
        ValueError: ``paper`` names no run.
    """
    spec: dict[str, Any] = read(file)
    if PAPER not in spec:
        return spec
    runs = list(paper_runs(spec[PAPER]))
    if not runs:
        scale, data, model = (spec[PAPER][key] for key in ("scale", "data", "model"))
        raise ValueError(f"{file}: no run at scale {scale} is of {data} and {model}: name data that the scale keeps.")
    settings = {run.name: run.setting for run in runs}
    args = {**catalog()[spec[PAPER]["data"]]["files"], MODEL: runs[0].point.flags[MODEL]}
    return {**spec, "settings": settings, "methods": list(settings), "args": args}


def paper_runs(paper: dict[str, Any], instead: str | None = None) -> Iterator[PaperRun]:
    """The runs that ``paper`` of an experiment file names; ``instead`` is another copy of the scale's model.

    Raises:
        ValueError: two runs of different flags would have one name.
    """
    keys: dict[tuple[str, int], str] = {}
    for item in paper["items"]:
        described = with_seeds(read_item(paper["name"], item), paper.get("seeds"))
        for cell, point in Plan(described, scale_of(described, paper["scale"]), Path("data"), instead).points.items():
            if (cell.data, cell.model) == (paper["data"], paper["model"]):
                setting = {**described.settings[cell.setting], **described.over[cell.over]}
                run = PaperRun(name_of(cell, paper.get("names", {})), cell.seed, setting, point)
                if keys.setdefault((run.name, run.seed), point.key) != point.key:
                    raise ValueError(
                        f"{item} has another run that is called {run.name}: name fewer items, or rename it by names."
                    )
                yield run


def name_of(cell: Cell, names: dict[str, Any]) -> str:
    """What the study calls the setting of a run."""
    name = names.get(cell.setting, cell.setting)
    return str(name[cell.over] if isinstance(name, list) else name)
