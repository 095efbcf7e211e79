"""C20 of AdaptAT (Figure 4): the linearised loss tracks the true one, from what a run logged of its adversary.

A line of ``adversary_weights.jsonl`` then holds ``loss``, the loss at the weighted point, ``linearised_loss``, its
first-order approximation along the ascent, ``linearisation_error``, the mean distance of the two, and ``clean_loss``,
all under one set of dropout masks. Most of either loss is the clean one, which any two curves of one training share
and which nobody approximates: what is compared is how far each lies above it, the true increase and the linearised
one, and the error is taken of the true increase. Intervals are bootstrap intervals over the lines of all seeds, which
are not independent within a run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.checks import Learnt, Row, judged
from benchmarks.paired import entry, runs_of
from benchmarks.run import WEIGHTS
from hf_robust.metrics import Difference
from hf_robust.metrics.paired import DRAWS, POINTS

Values = np.ndarray[Any, Any]
KEYS = ("loss", "linearised_loss", "linearisation_error", "clean_loss")
LEAST_CORRELATION, LARGEST_ERROR = 90.0, 10.0
"""Where *tracks* begins, in points: our choice, since the paper shows two curves and no number."""


class Settings(Learnt, Protocol):
    """An experiment whose runs go by the names of its settings."""

    @property
    def folder(self) -> Path: ...

    @property
    def settings(self) -> dict[str, Any]: ...


def c20(one: Settings) -> list[Row]:
    """Two rows for each setting that was run: how the increases correlate, and how far they are apart."""
    rows = [(name, _rows(one.folder, name, setting)) for name, setting in one.settings["settings"].items()]
    return [
        judged(one, row, (name,), control="the loss increase at the same point")
        for name, found in rows
        for row in found
    ]


def logged(run: Path) -> Values:
    """(entries, 4): the numbers of each line that has them all."""
    path = run / WEIGHTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    entries = [found for found in map(json.loads, lines) if all(key in found for key in KEYS)]
    return np.array([[found[key] for key in KEYS] for found in entries]).reshape(-1, len(KEYS))


def correlation(values: Values) -> float:
    """Pearson's of the true and the linearised increase over the clean loss, in points."""
    true, linear = (values[:, column] - values[:, 3] for column in (0, 1))
    return float(POINTS * np.corrcoef(true, linear)[0, 1])


def relative_error(values: Values) -> float:
    """Mean error over mean increase, (adversarial - clean), in points."""
    return float(POINTS * values[:, 2].mean() / (values[:, 0] - values[:, 3]).mean())


def _rows(folder: Path, name: str, setting: dict[str, Any]) -> list[dict[str, Any]]:
    by_seed = [found for found in map(logged, runs_of(folder, name)) if len(found) > 2]
    if not by_seed:
        return []
    steps = "raw" if setting.get("adv_norm_type") == "none" else "normalised"
    where = f"{setting['robust_method']}, {steps} steps, alpha {setting['adv_lr']:g}"
    shared = {
        "method": setting["robust_method"], "unit": "points", "examples": sum(map(len, by_seed)), "paper": None,
    }  # fmt: skip
    tracks = entry(
        "C20", f"{where}: the linearised increase correlates with the true one above {LEAST_CORRELATION / POINTS:g}",
        bootstrapped(by_seed, correlation), above=LEAST_CORRELATION,
    )  # fmt: skip
    near = entry(
        "C20", f"{where}: the linearised loss is off by less than {LARGEST_ERROR:g} % of the increase",
        bootstrapped(by_seed, relative_error), below=LARGEST_ERROR,
    )  # fmt: skip
    return [{**tracks, **shared, "quantity": "correlation"}, {**near, **shared, "quantity": "relative error"}]


def bootstrapped(by_seed: list[Values], measure: Callable[[Values], float]) -> Difference:
    """A measure over all lines, with its bootstrap interval over them."""
    values = np.concatenate(by_seed)
    draws = np.random.default_rng(0).integers(0, len(values), size=(DRAWS, len(values)))
    low, high = np.percentile([measure(values[draw]) for draw in draws], [2.5, 97.5])
    return Difference(measure(values), float(low), float(high), [measure(one) for one in by_seed])
