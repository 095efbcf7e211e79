"""The tables of a report, a row for each group of runs that differ in their seed only."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hf_robust.metrics import not_all_covered
from hf_robust.reports.document import Cell, Table, number_cell, text_cell
from hf_robust.reports.paired_tests import PairedTest
from hf_robust.reports.points import Rate, accuracy_rate, attack_rate, over_runs, rate_of
from hf_robust.reports.tables import (
    NOTHING,
    accuracy_interval,
    attack_interval,
    attack_over_seeds,
    data_name,
    group_names,
    kept_epochs,
    mean_of,
    model_name,
    over_seeds,
    union_label,
    union_over_seeds,
)
from hf_robust.runs import Run

Groups = Sequence[Sequence[Run]]
OTHER_RATES = {
    "remains_asr": "ASR where any kept prediction counts, %",
    "covered": "texts with a substitute, %",
    "covered_asr": "ASR among these, %",
}
"""Rates by other definitions of success (ATK-ANT-1, ATK-ANT-2); the last two where some text has no substitute."""
_CERTIFIED = {
    "certified_accuracy": "certified accuracy",
    "smoothed_accuracy": "smoothed accuracy",
    "abstained": "abstained",
}
_CERTIFICATE = {
    "radius": "median radius",
    "num_examples": "N",
    "votes": "votes",
    "alpha": "alpha",
    "seconds": "seconds",
}


def runs_table(groups: Groups) -> Table:
    """What was trained: method, model, data, seeds and the epoch whose weights were kept."""
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        run = group[0]
        seeds = [str(one.card["seed"]) for one in group if "seed" in one.card]
        folders = ", ".join(one.path.resolve().name for one in group)
        rows.append(
            [
                text_cell(name),
                text_cell(model_name(run)),
                text_cell(data_name(run)),
                text_cell(", ".join(seeds)),
                _count(run.data.get("train_samples")),
                _count(run.eval_samples),
                text_cell(kept_epochs(group)),
                _accuracy(group),
                text_cell(folders),
            ]
        )
    header = [
        "method",
        "model",
        "data",
        "seeds",
        "trained on",
        "evaluated on",
        "kept epoch",
        "clean accuracy, %",
        "folders",
    ]
    return Table("Methods and data", header, rows)


def attack_table(attack: str, groups: Groups) -> Table:
    """Rates of one attack on the kept weights, and what they cost."""
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        results = [found for run in group if (found := run.published["attacks"].get(attack))]
        if not results:
            continue
        row = [text_cell(name), _count(len(results)), _accuracy(group)]
        for key in ("asr", "robust_accuracy"):
            rate = over_runs(attack_rate(run, attack, key) for run in group)
            row.append(_rate(rate, attack_over_seeds(group, attack, key)))
        row += [number_cell(mean_of(results, key), ".0f") for key in ("num_examples", "num_attacked")]
        row += [number_cell(mean_of(results, key)) for key in ("queries", "changed_words")]
        row.append(number_cell(100 * mean_of(results, "changed_share")))
        row.append(number_cell(mean_of(results, "seconds")))
        row.append(number_cell(100 * mean_of(results, "saturated_share")))
        keys = OTHER_RATES if any(map(not_all_covered, results)) else {"remains_asr": ""}
        row += [number_cell(100 * mean_of(results, key) if key in keys else math.nan) for key in OTHER_RATES]
        rows.append(row)
    header = [
        "method", "seeds", "clean accuracy, %", "ASR, %", "robust accuracy, %", "N", "attacked", "queries each",
        "changed words", "changed words, %", "seconds", "saturated queries, %", *OTHER_RATES.values(),
    ]  # fmt: skip
    return Table(attack, header, rows).without_empty_columns()


def union_tables(groups: Groups) -> list[Table]:
    """Robust accuracy under the worst of several attacks, a table for each set of attacks that was joined."""
    unions = [run.published["union"] for group in groups for run in group if "union" in run.published]
    tables = []
    for label in dict.fromkeys(map(union_label, unions)):
        rows = []
        for name, group in zip(group_names(groups), groups, strict=True):
            found = [one for run in group if (one := run.published.get("union")) and union_label(one) == label]
            if found:
                rate = over_runs(rate_of(one, "robust_accuracy") for one in found)
                cell = _rate(rate, union_over_seeds(group, label))
                rows.append(
                    [text_cell(name), _count(len(found)), cell, number_cell(mean_of(found, "num_examples"), ".0f")]
                )
        tables.append(Table(label[0].upper() + label[1:], ["method", "seeds", "robust accuracy, %", "N"], rows))
    return tables


def certified_table(groups: Groups) -> Table | None:
    """Accuracy that a certificate vouches for; None where no run was certified."""
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        found = [_numbers(run.published["certified"]) for run in group if run.published.get("certified")]
        if not found:
            continue
        row = [text_cell(name), _count(len(found))]
        for key in _CERTIFIED:
            rate = over_runs(rate_of(one, key) for one in found)
            row.append(_rate(rate, over_seeds(group, _certified(key), _certified_interval(key))))
        row += [number_cell(mean_of(found, key), "g") for key in _CERTIFICATE]
        rows.append(row)
    header = ["method", "seeds", *(f"{said}, %" for said in _CERTIFIED.values()), *_CERTIFICATE.values()]
    return Table("Certified by random substitution", header, rows).without_empty_columns() if rows else None


def _numbers(certified: Mapping[str, Any]) -> dict[str, float]:
    return {key: math.nan if value is None else float(value) for key, value in certified.items()}


def _certified(key: str) -> Callable[[Run], float]:
    return lambda run: _numbers(run.published.get("certified") or {}).get(key, math.nan)


def _certified_interval(key: str) -> Callable[[Run], tuple[float, float] | None]:
    return lambda run: attack_interval(_numbers(run.published.get("certified") or {}), key)


def tests_table(attack: str, tests: Sequence[PairedTest]) -> Table:
    """The paired tests of one attack, the smallest p first."""
    rows = []
    for test in sorted(tests, key=lambda test: (test.p, -abs(test.difference.value))):
        value, low, high, _ = test.difference
        counts = [number_cell(count, "d") for count in (test.n, test.first_only, test.second_only)]
        difference = number_cell(value, text=f"{value:+.1f} [{low:+.1f}, {high:+.1f}]")
        rows.append(
            [text_cell(test.first), text_cell(test.second), *counts, difference, _p(test.p), _p(test.corrected)]
        )
    header = [
        "first", "second", "n", "right in first alone", "right in second alone", "second − first, points",
        "p", "p, Holm",
    ]  # fmt: skip
    return Table(attack, header, rows)


def _p(value: float) -> Cell:
    return number_cell(value, text="< 0.0001" if value < 1e-4 else f"{value:.4f}")


def cost_table(groups: Groups) -> Table:
    """Seconds of training, of making views and of attacks, forwards of a step; relative to `normal` where it ran."""
    base = next((group for group in groups if group[0].method == "normal"), None)
    seconds = [{key: _spent(group, key) for key in ("train", "generate", "attack")} for group in groups]
    forwards = [_over_cards(group, "forwards", "per_step") for group in groups]
    rows = []
    for index, name in enumerate(group_names(groups)):
        spent = seconds[index]
        row = [text_cell(name), *(number_cell(spent[key]) for key in ("train", "generate"))]
        if base is not None:
            normal = list(groups).index(base)
            row.append(number_cell(_ratio(_made(spent), _made(seconds[normal])), ".2f"))
        row.append(number_cell(forwards[index], ".2f"))
        if base is not None:
            row.append(number_cell(_ratio(forwards[index], forwards[normal]), ".2f"))
        rows.append([*row, number_cell(spent["attack"])])
    times = "× normal"
    header = ["method", "training, s", "making views, s", *([f"both, {times}"] if base is not None else [])]
    header += ["forwards a step", *([f"forwards, {times}"] if base is not None else []), "attacks, s"]
    return Table("Seconds and forward passes", header, rows).without_empty_columns()


def _made(spent: Mapping[str, float]) -> float:
    return spent["train"] + (spent["generate"] if math.isfinite(spent["generate"]) else 0.0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _spent(group: Sequence[Run], phase: str) -> float:
    """Mean seconds of a phase; of a run that was only attacked, what its attacks noted."""
    found = _over_cards(group, "seconds", phase)
    if phase != "attack" or any("seconds" in run.card for run in group):
        return found
    every = [result for run in group for result in run.published["attacks"].values()]
    return len(every) / len(group) * mean_of(every, "seconds")


def _over_cards(group: Sequence[Run], part: str, key: str) -> float:
    cards: list[Mapping[str, Any]] = [run.card for run in group if run.ended]
    values = [(card.get(part) or {}).get(key) for card in cards]
    known = [float(value) for value in values if isinstance(value, (int, float))]
    return statistics.mean(known) if known else math.nan


def _accuracy(group: Sequence[Run]) -> Cell:
    text = over_seeds(group, lambda run: float(run.published["accuracy"]), accuracy_interval)
    return _rate(over_runs(map(accuracy_rate, group)), text)


def _rate(rate: Rate, text: str) -> Cell:
    return number_cell(100 * rate.value if text != NOTHING else math.nan, text=text)


def _count(value: Any) -> Cell:
    return number_cell(float(value), ",.0f") if isinstance(value, (int, float)) else text_cell(None)
