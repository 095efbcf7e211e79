"""The tables of a report, with a row for each group of runs that differ only in their seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hf_robust.metrics import partial_coverage
from hf_robust.reports.aims import success_rate_applies
from hf_robust.reports.cells import (
    NOTHING,
    OBSTINACY,
    accuracy_over_seeds,
    attack_interval,
    attack_over_seeds,
    clean_accuracy_of,
    mean_of,
    obstinacy_of,
    over_seeds,
    percent,
    rise_over_seeds,
    union_label,
    union_over_seeds,
)
from hf_robust.reports.document import Cell, Table, number_cell, text_cell
from hf_robust.reports.groups import data_name, group_names, model_name, published_epochs
from hf_robust.reports.guessing import dagger
from hf_robust.reports.paired_tests import ASR, ROBUST, PairedTest
from hf_robust.reports.points import Rate, accuracy_rate, attack_rate, over_runs, rate_of
from hf_robust.reports.standard import member_rows, standard_in_words, standard_of
from hf_robust.runs import Run

Groups = Sequence[Sequence[Run]]
COVERED = {"covered": "texts with a substitute, %", "covered_asr": "ASR on texts with a substitute, %"}
"""Columns that are shown if some text has no substitute."""
_CERTIFIED = {
    "certified_accuracy": "certified accuracy",
    "smoothed_accuracy": "accuracy of the certified classifier",
    "abstained": "abstained",
}
_CERTIFICATE = {
    "radius": "median radius",
    "num_examples": "N",
    "votes": "votes",
    "alpha": "alpha",
    "seconds": "seconds",
}


_ADVERSARY = {
    "loss increase by the adversary": ("loss_increase", 1.0),
    "move of the point by w, % of its norm": ("point_moved", 100.0),
}
"""Columns on the adversary in embedding space: key in ``config`` of `run_card.json`, and scale."""


def runs_table(groups: Groups) -> Table:
    """Table of the runs: method, model, data, seeds and the epoch of the published weights."""
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        run = group[0]
        seeds = [str(one.card["seed"]) for one in group if "seed" in one.card]
        folders = ", ".join(one.path.resolve().name for one in group)
        rows.append(
            [
                text_cell(name + dagger(group)),
                text_cell(model_name(run)),
                text_cell(data_name(run)),
                text_cell(", ".join(seeds)),
                _count(run.data.get("train_samples")),
                _count(run.eval_samples),
                text_cell(published_epochs(group)),
                _accuracy(group),
                *(number_cell(scale * _over_cards(group, "config", key), ".3g") for key, scale in _ADVERSARY.values()),
                text_cell(folders),
            ]
        )
    header = [
        "method",
        "model",
        "data",
        "seeds",
        "training texts",
        "evaluation texts",
        "published epoch",
        "clean accuracy, %",
        *_ADVERSARY,
        "folders",
    ]
    return Table("Methods and data", header, rows).without_empty_columns()


def attack_table(attack: str, groups: Groups) -> Table:
    """Rates and cost of one attack on the published weights; clean accuracy is measured on the attack's examples."""
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        results = [result for run in group if (result := run.published["attacks"].get(attack))]
        if not results:
            continue
        row = [text_cell(name + dagger(group)), _count(len(results)), _clean(group, attack)]
        for key in ("robust_accuracy", "asr"):
            rate = over_runs(attack_rate(run, attack, key) for run in group)
            row.append(_rate(rate, attack_over_seeds(group, attack, key)))
        row += [number_cell(mean_of(results, key), ".0f") for key in ("num_examples", "num_attacked")]
        rated = all(success_rate_applies(run, attack) for run in group)
        obstinate = [obstinacy_of(run, attack) for run in group]
        for key in ("raises_asr", "remains_asr"):
            row.append(number_cell(100 * mean_of(obstinate, key), text=attack_over_seeds(group, attack, key)))
        row.append(number_cell(100 * mean_of(obstinate, "median_rise"), text=rise_over_seeds(group, attack)))
        row += [number_cell(mean_of(results, key)) for key in ("queries", "changed_words")]
        row.append(number_cell(100 * mean_of(results, "changed_share")))
        row.append(number_cell(mean_of(results, "seconds")))
        row += [number_cell(100 * mean_of(results, key)) for key in ("saturated_share", "texts_cut")]
        attacked = results[0].get("num_attacked") if len(results) == 1 else None
        for key in COVERED:
            is_shown = any(map(partial_coverage, results)) and (key == "covered" or rated)
            share = mean_of(results if is_shown else [], key)
            row.append(number_cell(100 * share, text=percent(share, count=attacked)))
        rows.append(row)
    header = [
        "method", "seeds", "clean accuracy on N, %", "robust accuracy, %", "ASR, %", "N", "attacked",
        *OBSTINACY.values(), "queries each", "changed words", "changed words, %", "seconds", "saturated queries, %",
        "texts cut, %", *COVERED.values(),
    ]  # fmt: skip
    return Table(attack, header, rows).without_empty_columns()


def _clean(group: Sequence[Run], attack: str) -> Cell:
    """Clean accuracy on the examples of the attack."""
    accuracies = [clean_accuracy_of(run, attack) for run in group]
    rates = [Rate(value, *(interval or (value, value))) for value, interval in accuracies]
    text = over_seeds(
        group,
        lambda run: clean_accuracy_of(run, attack)[0],
        lambda run: clean_accuracy_of(run, attack)[1],
        lambda run: run.published["attacks"].get(attack, {}).get("num_examples"),
    )
    return _rate(over_runs(rates), text)


def union_tables(groups: Groups) -> list[Table]:
    """Robust accuracy under the union of several attacks, one table for each set of attacks."""
    unions = [run.published["union"] for group in groups for run in group if "union" in run.published]
    tables = []
    for label in dict.fromkeys(map(union_label, unions)):
        rows = []
        for name, group in zip(group_names(groups), groups, strict=True):
            lines = [one for run in group if (one := run.published.get("union")) and union_label(one) == label]
            if lines:
                rate = over_runs(rate_of(one, "robust_accuracy") for one in lines)
                cell = _rate(rate, union_over_seeds(group, label))
                rows.append(
                    [
                        text_cell(name + dagger(group)),
                        _count(len(lines)),
                        cell,
                        number_cell(mean_of(lines, "num_examples"), ".0f"),
                    ]
                )
        tables.append(Table(label[0].upper() + label[1:], ["method", "seeds", "robust accuracy, %", "N"], rows))
    return tables


def standard_tables(groups: Groups) -> list[Table]:
    """What each attack of the standard evaluation added, one table for each run that was measured by it."""
    tables = []
    for name, group in zip(group_names(groups), groups, strict=True):
        for run in group:
            if entry := standard_of(run):
                header, rows = member_rows(entry)
                cells = [[text_cell(one) for one in row] for row in rows]
                tables.append(Table(f"{name}, {run.path.name}. {standard_in_words(entry)}", header, cells))
    return tables


def certified_table(groups: Groups) -> Table | None:
    """Table of certified accuracies; None if no run was certified."""
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        lines = [_numbers(run.published["certified"]) for run in group if run.published.get("certified")]
        if not lines:
            continue
        row = [text_cell(name), _count(len(lines))]
        for key in _CERTIFIED:
            rate = over_runs(rate_of(one, key) for one in lines)
            row.append(_rate(rate, over_seeds(group, _certified(key), _certified_interval(key))))
        row += [number_cell(mean_of(lines, key), "g") for key in _CERTIFICATE]
        rows.append(row)
    header = ["method", "seeds", *(f"{column}, %" for column in _CERTIFIED.values()), *_CERTIFICATE.values()]
    return Table("Certified", header, rows).without_empty_columns() if rows else None


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
    outcome = "withstood" if tests and tests[0].rate == ASR else "robust"
    rate = tests[0].rate if tests else ROBUST
    header = [
        "first", "second", "n", f"{outcome} in first only", f"{outcome} in second only",
        f"{rate}: second − first, points", "p", "p, Holm",
    ]  # fmt: skip
    return Table(attack, header, rows)


def _p(value: float) -> Cell:
    return number_cell(value, text="< 0.0001" if value < 1e-4 else f"{value:.4f}")


_BEFORE = ("baseline", "level")
"""Phases of plain training before the method's own: of the victim of the views, and for the level of flooding."""


def cost_table(groups: Groups) -> Table:
    """Seconds of training, of earlier phases and of attacks; forward passes; both relative to `normal` if it ran.

    Forward passes are counted in training for each batch: those of the model, of its twin, and of plain training
    before.
    """
    base = next((index for index, group in enumerate(groups) if group[0].method == "normal"), None)
    seconds = [{key: _seconds(group, key) for key in ("train", *_BEFORE, "generate", "attack")} for group in groups]
    forwards = [{key: _forwards(group, key) for key in ("train", "twin", *_BEFORE, "per_step")} for group in groups]
    rows = []
    for name, times, passes in zip(group_names(groups), seconds, forwards, strict=True):
        row = [text_cell(name), number_cell(times["train"]), number_cell(_sum(times, _BEFORE))]
        row.append(number_cell(times["generate"]))
        if base is not None:
            row.append(number_cell(_ratio(_total(times), _total(seconds[base])), ".2f"))
        row += [number_cell(value, ".2f") for value in (passes["train"], passes["twin"], _sum(passes, _BEFORE))]
        row.append(number_cell(passes["per_step"], ".2f"))
        if base is not None:
            row.append(number_cell(_ratio(passes["per_step"], forwards[base]["per_step"]), ".2f"))
        rows.append([*row, number_cell(times["attack"])])
    header = ["method", "training, s", "plain training before, s", "making views, s"]
    header += ["all three, × normal"] if base is not None else []
    header += ["forwards of the model", "of its twin", "of plain training before", "forwards per step, total"]
    header += ["forwards, × normal"] if base is not None else []
    return Table("Seconds and forward passes", [*header, "attacks, s"], rows).without_empty_columns()


def _sum(parts: Mapping[str, float], keys: Sequence[str]) -> float:
    """Sum of the known parts; nan if all are unknown or 0."""
    known = [parts[key] for key in keys if math.isfinite(parts[key])]
    return sum(known) if any(known) else math.nan


def _forwards(group: Sequence[Run], part: str) -> float:
    """Forward passes of a part per training batch, mean over seeds; run cards hold totals of a run."""
    if part == "per_step":
        return _over_cards(group, "forwards", part)
    per_batch = []
    for run in group:
        noted = run.card.get("forwards") or {}
        total = sum(value for key, value in noted.items() if key != "per_step")
        if run.ended and part in noted and total:
            per_batch.append(noted[part] / total * noted["per_step"])
    return statistics.mean(per_batch) if per_batch else math.nan


def _total(seconds: Mapping[str, float]) -> float:
    before = _sum(seconds, (*_BEFORE, "generate"))
    return seconds["train"] + (before if math.isfinite(before) else 0.0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _seconds(group: Sequence[Run], phase: str) -> float:
    """Mean seconds of a phase; for a checkpoint that was only attacked, the sum over its attacks."""
    mean = _over_cards(group, "seconds", phase)
    if phase != "attack" or any("seconds" in run.card for run in group):
        return mean
    every = [result for run in group for result in run.published["attacks"].values()]
    return len(every) / len(group) * mean_of(every, "seconds")


def _over_cards(group: Sequence[Run], part: str, key: str) -> float:
    cards: list[Mapping[str, Any]] = [run.card for run in group if run.ended]
    values = [(card.get(part) or {}).get(key) for card in cards]
    known = [float(value) for value in values if isinstance(value, (int, float))]
    return statistics.mean(known) if known else math.nan


def _accuracy(group: Sequence[Run]) -> Cell:
    return _rate(over_runs(map(accuracy_rate, group)), accuracy_over_seeds(group))


def _rate(rate: Rate, text: str) -> Cell:
    return number_cell(100 * rate.value if text != NOTHING else math.nan, text=text)


def _count(value: Any) -> Cell:
    return number_cell(float(value), ",.0f") if isinstance(value, (int, float)) else text_cell(None)
