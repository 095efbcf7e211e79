"""Which further seeds decide which checks: the plan that `benchmarks.study.run --plan` prints.

A run is worth making if it brings a check that is open to the seeds at which its effect would be seen with 80 % power
(`benchmarks.study.decide`), with the rows that are attacked now. Other open checks need more rows than that, or more
than `MOST_SEEDS` seeds: more runs of the same experiment do not decide them.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.controls import CONTROLS
from benchmarks.study.paired import OPEN, read, runs_by_seed, runs_of
from benchmarks.study.power import MOST_SEEDS
from benchmarks.study.stored import RESULTS
from benchmarks.study.verdicts import cost, size_in_words
from benchmarks.study.voids import (
    BLIND,
    CORRECTED,
    DROPPED,
    RULES,
    UNEQUAL,
    UNLEARNT,
    UNMEASURED,
    UNMOVED,
    UNSEEN,
    UNWEIGHTED,
)

Row = dict[str, Any]
STUDY = "study.json"
OF_NEW_RUNS = {
    *(control.missing for control in CONTROLS.values()),
    BLIND,
    CORRECTED,
    DROPPED,
    UNEQUAL,
    UNLEARNT,
    UNMEASURED,
    UNMOVED,
    UNSEEN,
    UNWEIGHTED,
}
"""Void verdicts that other runs would not have, but more seeds of the same have too."""


def plan(files: Sequence[Path], results: Path = RESULTS) -> Iterator[str]:
    """Lines of the plan: for each experiment the seeds that decide something, and what they do not decide."""
    rows = [row for claim in read(results / STUDY).values() for row in claim["checks"]]
    for file in files:
        yield f"{file.stem}:"
        of_experiment = [row for row in rows if row["experiment"] == file.stem]
        if not of_experiment:
            yield "  no check yet: one seed of each setting measures the spread that a plan needs"
            continue
        lines = [*worth_making(of_experiment, results / file.stem), *open_after_seeds(of_experiment)]
        yield from lines or ["  every check that counts is decided"]


def worth_making(rows: Sequence[Row], folder: Path) -> Iterator[str]:
    """A line for each group of settings and number of seeds that decides open checks, the fewest runs first."""
    groups: dict[tuple[tuple[str, ...], int], list[Row]] = defaultdict(list)
    for row in rows:
        if by_seeds(row):
            groups[tuple(dict.fromkeys(row["runs"])), row["needs"]["seeds"]].append(row)
    todo = {group: missing(folder, *group) for group in groups}
    for group in sorted(groups, key=lambda group: (len(todo[group]), group)):
        settings, seeds = group
        hours = sum(mean_seconds(folder, setting) for setting, _ in todo[group]) / 3600
        decided = "; ".join(f"{row['claim']} {row['text']}" for row in groups[group])
        yield f"  {', '.join(settings)} to seed {seeds}: {len(todo[group])} runs, {hours:.1f} h, decide {decided}"


def open_after_seeds(rows: Sequence[Row]) -> Iterator[str]:
    """Lines on the open checks that more seeds do not decide, and on void ones that other runs would not be."""
    rest = [row for row in rows if row["verdict"] == OPEN and not by_seeds(row)]
    sized = [row for row in rest if row["needs"]]
    if sized:
        easiest = min(sized, key=cost)
        yield (
            f"  not by {MOST_SEEDS} seeds with these rows: {len(rest)} open checks; the least takes "
            f"{size_in_words(easiest['needs'])} ({easiest['claim']} {easiest['text']})"
        )
    for verdict in RULES:
        without = sorted({row["claim"] for row in rows if row["verdict"] == verdict and verdict in OF_NEW_RUNS})
        if without:
            why = f"{', '.join(without)}, {verdict.removeprefix('void: ')}"
            yield f"  void in {why}: more seeds of these runs decide nothing"


def by_seeds(row: Row) -> bool:
    """Whether more seeds with the same rows decide an open check."""
    needs = row["needs"]
    return row["verdict"] == OPEN and bool(needs) and needs["rows"] <= row["examples"] and needs["seeds"] <= MOST_SEEDS


def missing(folder: Path, settings: Sequence[str], seeds: int) -> list[tuple[str, int]]:
    """Settings with the seeds up to ``seeds`` that have no finished run."""
    return [
        (name, seed) for name in settings for seed in range(1, seeds + 1) if seed not in runs_by_seed(folder, name)
    ]


def mean_seconds(folder: Path, setting: str) -> float:
    """Mean seconds of the finished runs of a setting; 0 if there are none."""
    cards = [read(run / "run_card.json") for run in runs_of(folder, setting)]
    return statistics.mean(card["seconds"]["total"] for card in cards) if cards else 0.0
