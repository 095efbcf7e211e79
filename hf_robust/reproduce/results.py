"""The finished runs of an item, by what they are in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hf_robust.reports import Setting, load_evaluated, metric_rate
from hf_robust.reports.guessing import guesses
from hf_robust.reproduce.plan import Cell, Plan, catalog
from hf_robust.runs import Run
from hf_robust.sweep.runs import folder_of, is_finished


class Place(NamedTuple):
    """A row of an item's tables: a cell without its seed."""

    data: str
    model: str
    setting: str
    over: int


@dataclass(frozen=True)
class Results:
    """The runs of a plan in the output folder of its paper and scale."""

    plan: Plan
    folder: Path

    @cached_property
    def runs(self) -> dict[Cell, Run]:
        """The finished runs."""
        folders = {cell: folder_of(self.folder, point) for cell, point in self.plan.points.items()}
        return {cell: load_evaluated(folder) for cell, folder in folders.items() if is_finished(folder)}

    @property
    def places(self) -> list[Place]:
        """The rows of the item, in its order, finished or not."""
        return list(dict.fromkeys(Place(*cell[:-1]) for cell in self.plan.points))

    def runs_at(self, place: Place) -> tuple[Run, ...]:
        """The finished runs of a row, one for each seed."""
        return tuple(run for cell, run in self.runs.items() if Place(*cell[:-1]) == place)

    def setting(self, place: Place) -> Setting:
        """The row as a setting of a sweep: its name, its values of ``over``, and its runs."""
        item, runs = self.plan.item, self.runs_at(place)
        name: dict[str, Any] = {"robust_method": place.setting}
        if len(item.data) > 1:
            name["data"] = catalog()[place.data]["title"]
        if len(self.plan.models) > 1:
            name["model"] = place.model
        return Setting({**name, **item.over[place.over]}, runs, any(map(guesses, runs)))

    def printed(self, place: Place, column: str) -> float | None:
        """The paper's number of a row in a column, as printed; None if it is unknown."""
        item = self.plan.item
        name = place.setting if len(item.over) == 1 else f"{place.setting}:{place.over}"
        row = item.numbers.get(place.data, {}).get(place.model, {}).get(name)
        return None if row is None else row[list(item.columns).index(column)]

    def missing(self) -> Iterator[str]:
        """Names of the runs that are not finished."""
        for cell in self.plan.points:
            if cell not in self.runs:
                yield cell.label


def result_line(plan: Plan, folder: Path) -> str:
    """The columns of a finished run in one line."""
    run = load_evaluated(folder)
    data = next(cell.data for cell, point in plan.points.items() if folder.name.endswith(f"-{point.key}"))
    rates = {column: metric_rate(run, plan.metric(column, data)) for column in plan.item.columns}
    return "  ".join(f"{column} {rate.value:.4g}" for column, rate in rates.items() if rate is not None)
