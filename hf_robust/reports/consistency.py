"""Report section on interpretation consistency: Kendall's tau and top-k intersection (FLAT, Tables 2, 3 and 8)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from hf_robust.reports.cells import over_seeds
from hf_robust.reports.document import Cell, Section, Table, number_cell, text_cell
from hf_robust.reports.groups import group_names
from hf_robust.reports.points import Rate, over_runs
from hf_robust.runs import Run, read_interpretations

_TOP = (1, 5, 10)
"""The k of the columns; FLAT shows 5."""
_OF_METHOD = {"ig": ("baseline", "steps"), "lime": ("samples",)}


class _Kind(NamedTuple):
    """What two measurements need in common to stand in one column."""

    attribution: str
    pairs: str
    settings: str


Measured = Mapping[str, Any]


def consistency_section(groups: Sequence[Sequence[Run]]) -> Section | None:
    """A table with a row for each method, attribution and attack; None if no run was measured.

    Raises:
        ValueError: a file of a run is malformed.
    """
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        measured = {id(run): _by_kind(run) for run in group}
        for kind in dict.fromkeys(kind for kinds in measured.values() for kind in kinds):
            known = [(run, measured[id(run)][kind]) for run in group if kind in measured[id(run)]]
            rows.append([text_cell(name), *map(text_cell, kind), number_cell(len(known), "d"), *_numbers(known)])
    if not rows:
        return None
    text = (
        "Are the same words important before and after an attack? Attributions of a text and of its perturbed form "
        "are compared for each class, then averaged over classes and pairs (hf-robust interpret consistency). Tau: "
        "Kendall's rank correlation. Top-k: shared part of the k most important words. Brackets: 95 % bootstrap "
        "intervals over pairs; ±: sample standard deviation over seeds. Each model is explained on the pairs that it "
        "was given, so compare methods on the same pairs; few changed words make both numbers high in any case."
    )
    header = ["method", "attribution", "pairs of", "settings", "seeds", "pairs", "changed words, %", "tau × 100"]
    table = Table("Kendall's tau and top-k intersection", [*header, *(f"top-{k}, %" for k in _TOP)], rows)
    return Section("Interpretation", [text], tables=[table.without_empty_columns()])


def _by_kind(run: Run) -> dict[_Kind, Measured]:
    """Results by kind; of several measurements of one kind the last one."""
    found = {}
    for content in read_interpretations(run.path):
        settings = content["settings"]
        pairs = ", ".join(PurePosixPath(str(path)).stem for path in content["pairs"])
        for attribution, result in content["attributions"].items():
            names = ("ranking", "keep", *_OF_METHOD.get(attribution, ()), "max_length")
            shown = ", ".join(f"{name} {settings[name]}" for name in names if settings.get(name) is not None)
            found[_Kind(attribution, pairs, shown)] = result
    return found


def _numbers(known: Sequence[tuple[Run, Measured]]) -> list[Cell]:
    results = [result for _, result in known]
    counts = dict.fromkeys(f"{result.get('num_pairs', 0):,}" for result in results)
    changed = over_runs(_rate({"mean": result.get("changed_share")}) for result in results)
    estimates = [[_rate(result["kendall_tau"]) for result in results]]
    estimates += [[_top_k(result, k) for result in results] for k in _TOP]
    return [
        text_cell(", ".join(counts)),
        number_cell(100 * changed.value),
        *(_cell([run for run, _ in known], rates) for rates in estimates),
    ]


def _cell(runs: Sequence[Run], rates: Sequence[Rate]) -> Cell:
    by_run = {id(run): rate for run, rate in zip(runs, rates, strict=True)}
    text = over_seeds(runs, lambda run: by_run[id(run)].value, lambda run: by_run[id(run)][1:])
    return number_cell(100 * over_runs(rates).value, text=text)


def _top_k(result: Measured, k: int) -> Rate:
    return next((_rate(one) for one in result["top_k"] if one.get("k") == k), _rate({}))


def _rate(estimate: Mapping[str, float | None]) -> Rate:
    ends = (estimate.get(name) for name in ("mean", "low", "high"))
    return Rate(*(math.nan if value is None else float(value) for value in ends))
