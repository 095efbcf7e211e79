"""The runs of an item at a scale: their flags, what the scale changes, what they need, and what they cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hf_robust.reproduce.item import Item, shared_file
from hf_robust.reproduce.needs import BUILT_IN_MODELS
from hf_robust.reproduce.scale import EPOCHS, LENGTH_FLAGS, MODEL, Scale, scales, shrink
from hf_robust.runs import Flags
from hf_robust.sweep.checks import check_metric, check_point, quiet_parsing
from hf_robust.sweep.file import Point

ATTACKED = "attack_num_examples"
FIXED: Flags = {
    "do_train": True,
    "do_eval": True,
    "save_total_limit": 1,
    "pad_to_max_length": False,
    "disable_tqdm": True,
    "report_to": "none",
}
"""Flags of every run; none changes a number of a paper. Texts are padded to the longest of a batch."""
SET = "{set}"


class Cell(NamedTuple):
    """What a run is in its item: data set, model, setting, index in ``over``, and seed."""

    data: str
    model: str
    setting: str
    over: int
    seed: int

    @property
    def label(self) -> str:
        """Beginning of the name of the run's folder."""
        step = f"-{self.over + 1}" if self.over else ""
        setting = re.sub(r"[^\w.+-]+", "_", self.setting)
        return f"{self.data}-{self.model}-{setting}{step}-seed{self.seed}"


@dataclass(frozen=True)
class Plan:
    """All runs of an item at a scale.

    Args:
        files: the folder of ``--data``, whose data sets are read; None reads data sets from the Hub. The papers' own
            data sets are whole, so at their own scale only tables of substitutes are read from the folder.
        instead: ``--model``, in place of the scale's stand-in.
    """

    item: Item
    scale: Scale
    files: Path | None = None
    instead: str | None = None

    @property
    def models(self) -> list[str]:
        """The models of the item that the scale has."""
        return [name for name in self.item.models if self.scale.model_flags(self.item, name, None) is not None]

    @property
    def data(self) -> list[str]:
        """The data sets of the item that are run at the scale."""
        return [name for name in self.item.data if self.scale.data is None or name in self.scale.data]

    @cached_property
    def points(self) -> dict[Cell, Point]:
        """The point of a sweep for each run."""
        return {cell: Point(self.flags(cell), (), cell.label) for cell in self._cells()}

    def _cells(self) -> Iterator[Cell]:
        for seed in self.item.seeds:
            for data in self.data:
                for model in self.models:
                    for setting in self.item.settings:
                        for over in range(len(self.item.over)):
                            yield Cell(data, model, setting, over, seed)

    def flags(self, cell: Cell) -> Flags:
        """Flags of a run; ``{data}`` stays in them, so that they are equal on all machines."""
        item, known = self.item, catalog()[cell.data]
        place = "files" if self.files is not None and not self.scale.whole else "hub"
        model = self.scale.model_flags(item, cell.model, self.instead) or {}
        own = item.models[cell.model]
        flags = {**FIXED, **item.args, **own, **known[place], **item.data[cell.data]}
        flags |= {**item.settings[cell.setting], **item.over[cell.over], "seed": cell.seed}
        # A stand-in's learning rate wins over the paper's.
        flags |= {name: value for name, value in model.items() if own.get(name) != value}
        named = {name: _named(value, cell.data) for name, value in flags.items() if value is not None}
        return shrink(named, self.scale, known["rows"], self.instead)

    def metric(self, column: str, data: str) -> str:
        """Metric of a column for a data set."""
        return self.item.columns[column].replace(SET, data.removesuffix("_mm"))

    def check(self) -> None:
        """Parse the runs as the script will: all of one seed and one of each other. They must measure the columns.

        Raises:
            ValueError: a flag, a value or a metric is wrong, the scale has no model of the item, or ``instead`` would
                replace none.
        """
        if self.instead is not None and self.scale.whole:
            raise ValueError(
                f"--model {self.instead} stands in for a smaller scale's model: leave it out at --scale paper."
            )
        if not self.models:
            raise ValueError(
                f"{self.item.source} is of {', '.join(self.item.models)}, for which --scale {self.scale.name} has no "
                "smaller model: use --scale paper."
            )
        if self.instead is not None and not any((self.scale.models or {})[name] for name in self.models):
            raise ValueError(
                f"--model {self.instead} would change nothing: --scale {self.scale.name} replaces no model of "
                f"{self.item.name} ({', '.join(self.models)}). Leave it out."
            )
        first_of_seed = {cell.seed: cell for cell in reversed(self.points)}
        with quiet_parsing():
            for cell, point in self.points.items():
                if cell.seed == self.item.seeds[0] or cell == first_of_seed[cell.seed]:
                    arguments = check_point(point, Path("data"))
                    for column in self.item.columns:
                        check_metric(self.metric(column, cell.data), arguments, point.name)

    def changes(self) -> list[str]:
        """What the scale changes, a sentence each; empty at the paper's own."""
        if self.scale.whole:
            return []
        lines = []
        for name in self.item.models:
            flags = self.scale.model_flags(self.item, name, self.instead)
            own = self.item.models[name]
            if flags is None:
                lines.append(f"Left out at this scale: {own.get(MODEL, name)}, which has no stand-in.")
            elif flags != own:
                others = [flag for flag in flags if flag != MODEL and flags[flag] != own.get(flag)]
                at = ", ".join(f"{flag.replace('_', ' ')} {flags[flag]}" for flag in others)
                lines.append(f"Model: {_short(flags[MODEL])}{at and f' at {at}'} in place of {own[MODEL]}.")
        return [
            *lines,
            *self._fewer_rows(),
            *self._smaller(EPOCHS, "Epochs"),
            *self._smaller(ATTACKED, "Attacked rows"),
            *self._shorter(),
        ]

    def _fewer_rows(self) -> Iterator[str]:
        for data in self.item.data:
            known, rows = catalog()[data], self.scale.rows
            if data not in self.data:
                yield f"Left out at this scale: {known['title']}."
            elif rows is not None and rows < known["rows"]:
                yield f"Rows: at most {rows:,} of {known['rows']:,} of {known['title']}."

    def _smaller(self, flag: str, noun: str) -> Iterator[str]:
        """A sentence on a number that the scale makes smaller in some runs."""
        whole = Plan(self.item, Scale("paper"))
        pairs = {(point.flags.get(flag), whole.flags(cell).get(flag)) for cell, point in self.points.items()}
        before = sorted({str(old or "all") for now, old in pairs if now != old}, key=lambda text: (len(text), text))
        if before:
            most = max(now for now, _ in pairs if now is not None)
            yield f"{noun}: at most {most}; the paper's: {', '.join(before)}."

    def _shorter(self) -> Iterator[str]:
        has_one = any(flag in point.flags for point in self.points.values() for flag in LENGTH_FLAGS)
        if has_one and self.scale.lengths != 1.0:
            model = _short(self.scale.stand_in(None))
            yield f"Lengths of adversaries: times {self.scale.lengths:g}, as the word vectors of {model} are."

    def hours(self) -> float:
        """Estimate of the hours of all runs on two CPU cores, from the seconds of a run, of a row and of a text."""
        with quiet_parsing():
            of_settings = {cell: self._seconds(cell) for cell in self.points if cell.seed == self.item.seeds[0]}
        return sum(of_settings.values()) * len(self.item.seeds) / 3600

    def _seconds(self, cell: Cell) -> float:
        point = self.points[cell]
        # A word model costs about what the model of the smallest scale does.
        costs = (scales()["tiny"] if point.flags[MODEL] in BUILT_IN_MODELS else self.scale).seconds
        arguments = check_point(point, Path("data"))
        rows = min(catalog()[cell.data]["rows"], point.flags.get("max_train_samples", 10**9))
        passes = arguments.method.step_passes(arguments.training).steps_of_normal
        texts = point.flags.get(ATTACKED, 1000) * len(point.flags.get("attacks", []))
        if point.flags.get("view_attacks"):
            texts += rows * point.flags.get("view_fraction", 1.0) * point.flags.get("n_rounds", 1)
        return float(costs["run"] + rows * point.flags[EPOCHS] * passes * costs["row"] + texts * costs["text"])


def catalog() -> dict[str, dict[str, Any]]:
    """Data set -> title, rows of its training set, and its flags on the Hub and as files below ``--data``."""
    return shared_file("data.json")


def _named(value: Any, data: str) -> Any:
    if isinstance(value, list):
        return [_named(item, data) for item in value]
    return value.replace(SET, data.removesuffix("_mm")) if isinstance(value, str) else value


def _short(model: Any) -> str:
    """The last two parts of a model's name or folder."""
    parts = Path(str(model)).parts
    return "/".join(parts[-2:]) if len(parts) > 2 else str(model)
