"""C16 and C18 of AdaptAT: what step size and number of steps do to accuracy and robustness (Figures 1 to 3).

The settings of a sweep differ in method, number of steps k and step size alpha. The *alpha line* of a method has the
most frequent k. Its *k line* has the most frequent product k * alpha among the settings that are not on the alpha
line.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from benchmarks.study.checks import ACCURACY, COLLAPSE
from benchmarks.study.paired import (
    FAILS,
    HOLDS,
    OPEN,
    VOID,
    accuracy_difference,
    accuracy_of,
    accuracy_variance,
    attack_variance,
    between,
    check_row,
    outcomes,
    read,
    robust_difference,
    runs_of,
    shared_runs,
)
from benchmarks.study.voids import by_rules
from hf_robust.metrics import Difference
from hf_robust.metrics.guessing import least_accuracy
from hf_robust.metrics.paired import robust

SWEEP = "embedding_sst2_sweep"
ATTACK = "textfooler"
BEST_STEPS = 5
"""The paper's best k at a constant product k * alpha."""


@dataclass(frozen=True)
class Point:
    """One setting of a sweep, with means over its seeds."""

    folder: Path
    setting: str
    method: str
    steps: int
    alpha: float
    accuracy: float
    robust_accuracy: float
    collapsed: bool
    seeds: int
    examples: int
    eval_samples: int

    @property
    def product(self) -> float:
        """k * alpha."""
        return self.steps * self.alpha


def read_sweep(file: Path, folder: Path) -> list[Point]:
    """The settings of a sweep that were run."""
    experiment = read(file)
    least = least_accuracy(experiment["larger_class"])
    return [
        _point(folder, name, setting, least)
        for name, setting in experiment["settings"].items()
        if runs_of(folder, name)
    ]


def _point(folder: Path, name: str, setting: dict[str, Any], least: float) -> Point:
    runs = runs_of(folder, name)
    outcomes_of_seeds = outcomes(folder, name, ATTACK)
    accuracies = [accuracy_of(run) for run in runs]
    return Point(
        folder=folder,
        setting=name,
        method=setting["robust_method"],
        steps=setting["adv_steps"],
        alpha=setting["adv_lr"],
        accuracy=statistics.mean(accuracies),
        robust_accuracy=float(robust(outcomes_of_seeds).mean()),
        collapsed=min(accuracies) < least,
        seeds=len(runs),
        examples=outcomes_of_seeds.shape[1],
        eval_samples=read(runs[0] / "run_card.json")["data"]["eval_samples"],
    )


def by_method(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Method -> its points."""
    return {
        name: [point for point in points if point.method == name] for name in dict.fromkeys(p.method for p in points)
    }


def alpha_line(points: Sequence[Point]) -> list[Point]:
    """Settings with the most frequent k, ordered by alpha."""
    steps, _ = Counter(point.steps for point in points).most_common(1)[0]
    return sorted((point for point in points if point.steps == steps), key=lambda point: point.alpha)


def k_line(points: Sequence[Point]) -> list[Point]:
    """Settings with the same product k * alpha, ordered by k; empty if only alpha was changed."""
    line = alpha_line(points)
    products = Counter(round(point.product, 9) for point in points if point not in line)
    if not products:
        return []
    product, _ = products.most_common(1)[0]
    return sorted((point for point in points if isclose(point.product, product)), key=lambda point: point.steps)


def _sweep_check(
    claim: str, text: str, difference: Difference, points: Sequence[Point], **fields: Any
) -> dict[str, Any]:
    sides = {key: fields.pop(key) for key in ("above", "below") if key in fields}
    row = check_row(claim, text, difference, fields.pop("variance", None), **sides)
    examples = points[0].eval_samples if "accuracy" in fields.get("quantity", "") else points[0].examples
    row |= {"method": points[0].method, "unit": "points", "examples": examples, "paper": None}
    row |= {"control": points[0].setting, "runs": [point.setting for point in points], "beside": None} | fields
    return by_rules(points[0].folder, row)


def c16(points: Sequence[Point]) -> list[dict[str, Any]]:
    """C16: with alpha robust accuracy rises and clean accuracy falls until training collapses, later for freelb."""
    lines = {name: alpha_line(of_method) for name, of_method in by_method(points).items()}
    rows = [row for line in lines.values() for row in (*trends(line), collapse(line))]
    if "pgd" in lines and "freelb" in lines:  # the two that Figures 1 and 2 show
        rows.append(tolerates(lines["pgd"], lines["freelb"]))
    return rows


def trends(line: Sequence[Point]) -> list[dict[str, Any]]:
    """Difference between both ends of the range without collapse, and rank correlation with alpha over this range."""
    learnt = [point for point in line if not point.collapsed]
    if len(learnt) < 2 or not shared_runs(learnt[0].folder, learnt[0].setting, learnt[-1].setting):
        return []
    first, last = learnt[0], learnt[-1]
    ends = f"from alpha {first.alpha:g} to {last.alpha:g} (k = {first.steps})"
    pair = (first.folder, first.setting, last.setting)
    risen, fallen = robust_difference(*pair, ATTACK), accuracy_difference(*pair)
    whole = [first, last]
    alphas = [point.alpha for point in learnt]
    return [
        _sweep_check(
            "C16", f"{first.method}: {ATTACK} robust accuracy rises {ends}", risen, whole, above=0.0,
            quantity=ATTACK, variance=attack_variance(*pair, ATTACK),
            spearman=_rank(alphas, [point.robust_accuracy for point in learnt]),
        ),
        _sweep_check(
            "C16", f"{first.method}: clean accuracy falls {ends}", fallen, whole, below=0.0,
            quantity=ACCURACY, variance=accuracy_variance(first.folder, between(*pair[1:])),
            spearman=_rank(alphas, [point.accuracy for point in learnt]),
        ),
    ]  # fmt: skip


def _rank(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rho; None if values do not change or there are fewer than three."""
    if len(set(second)) < 2 or len(first) < 3:
        return None
    return round(float(spearmanr(first, second).statistic), 3)


def first_collapse(line: Sequence[Point]) -> float | None:
    """The smallest alpha at which training collapsed."""
    return next((point.alpha for point in line if point.collapsed), None)


def collapse(line: Sequence[Point]) -> dict[str, Any]:
    """The alpha at which a method collapses; open if it does not collapse up to the largest alpha."""
    at, largest = first_collapse(line), line[-1]
    where = f"at alpha {at:g}" if at is not None else f"not up to alpha {largest.alpha:g}"
    return {
        "claim": "C16",
        "text": f"{largest.method} collapses: {where} (k = {largest.steps})",
        "value": at, "low": None, "high": None, "by_seed": [],
        "verdict": HOLDS if at is not None else OPEN,
        "method": largest.method, "quantity": COLLAPSE, "unit": "alpha", "examples": largest.eval_samples,
        "paper": None, "runs": [point.setting for point in line], "control": "chance",
    }  # fmt: skip


def tolerates(pgd: Sequence[Point], freelb: Sequence[Point]) -> dict[str, Any]:
    """FreeLB still learns at an alpha, trained with both methods, at which PGD has collapsed.

    A difference between two models near chance has no meaning, so the check is which of them is near chance.
    """
    shared = [(of_pgd, other) for of_pgd in pgd for other in freelb if of_pgd.alpha == other.alpha]
    row = {"claim": "C16", "value": None, "low": None, "high": None, "by_seed": [], "method": "freelb",
           "quantity": "tolerance", "unit": "alpha", "examples": None, "paper": None, "control": "pgd",
           "runs": [point.setting for pair in shared for point in pair]}  # fmt: skip
    lost = [pair for pair in shared if pair[0].collapsed != pair[1].collapsed]
    text = "freelb tolerates a larger alpha than pgd"
    if not lost:
        return {**row, "text": f"{text}: at none of both has one collapsed alone", "verdict": OPEN}
    of_pgd, _ = lost[0]
    fallen, other_one = ("pgd", "freelb") if of_pgd.collapsed else ("freelb", "pgd")
    row |= {
        "value": of_pgd.alpha,
        "examples": of_pgd.eval_samples,
        "verdict": HOLDS if of_pgd.collapsed else FAILS,
    }
    return {**row, "text": f"{text}: at {of_pgd.alpha:g} {fallen} has collapsed, {other_one} has not"}


def c18(points: Sequence[Point]) -> list[dict[str, Any]]:
    """C18: at a constant k * alpha, k = 5 gives the highest robust accuracy."""
    return [row for of_method in by_method(points).values() for row in best_steps(k_line(of_method))]


def best_steps(line: Sequence[Point]) -> list[dict[str, Any]]:
    """The claimed k against the best other k; the claim holds if the claimed k is above each of the others."""
    claimed = [point for point in line if point.steps == BEST_STEPS]
    others = [point for point in line if point.steps != BEST_STEPS]
    if not claimed or not others:
        return []
    (ours,) = claimed
    against = [robust_difference(ours.folder, other.setting, ours.setting, ATTACK) for other in others]
    lowest = min(range(len(others)), key=lambda index: against[index].value)
    best = max(line, key=lambda point: point.robust_accuracy)
    steps = ", ".join(f"{point.steps}" for point in line)
    text = (
        f"{ours.method}: k = {BEST_STEPS} has the highest {ATTACK} robust accuracy of k = {steps} at k * alpha = "
        f"{ours.product:g} (best here: k = {best.steps}; difference from k = {others[lowest].steps})"
    )
    fields = {"runs": [point.setting for point in line], "control": others[lowest].setting, "best": best.steps}
    fields["variance"] = attack_variance(ours.folder, others[lowest].setting, ours.setting, ATTACK)
    row = _sweep_check("C18", text, against[lowest], [ours], above=0.0, quantity=ATTACK, **fields)
    if any(point.collapsed for point in line):
        row["verdict"] = VOID
    elif row["verdict"] == HOLDS and any(difference.low <= 0 for difference in against):
        row["verdict"] = OPEN
    elif any(difference.high < 0 for difference in against):
        row["verdict"] = FAILS
    return [row]
