"""Claims C8 to C12 of TaiChi: label conflict, robust accuracy, ablations, KL of the pairs, linear averaging."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks import text_paper as paper
from benchmarks.embedding_claims import ACCURACY
from benchmarks.paired import accuracy_of, runs_of, statuses_of
from benchmarks.text_measures import ATTACK, PAIRS
from benchmarks.text_runs import TextExperiment, accuracy_contrast, by_values, compared, kl_of_pairs, measured
from benchmarks.text_verdicts import CLEAN_LOSS, NORMAL, Row, claim, trained_on
from hf_robust.metrics.paired import robust

NEAR_FULL = 3.0
"""Points of robust accuracy that count as the same."""
ABLATIONS = ("taichi_no_kl", "taichi_no_ctr", "taichi_no_adv")
AVERAGE = "linear_average_"
OF_TAICHI = ("taichi", AVERAGE, "base_adv")


def c8(one: TextExperiment) -> list[Row]:
    published = paper.TAICHI_4 if one.data == "sst2" else {}
    half = {"base_adv_soft": 1.0, "base_adv": -0.5, NORMAL: -0.5}
    texts = {
        "base_adv loses clean accuracy": ({"base_adv": 1.0, NORMAL: -1.0}, {"below": 0.0}),
        "base_adv_soft recovers more than half of what base_adv loses": (half, {"above": 0.0}),
    }
    rows = []
    for text, (weights, limits) in texts.items():
        there = round(sum(weight * published[name] for name, weight in weights.items()), 1) if published else None
        found = accuracy_contrast(one, weights)
        rows += claim(one, "C8", text, found, (), method=next(iter(weights)), quantity=ACCURACY, paper=there, **limits)
    return rows


def rivals(one: TextExperiment) -> list[str]:
    """What was run beside TaiChi and its ablations, and beside FLAT's."""
    return [name for name in one.methods if not name.startswith((*OF_TAICHI, "flat_"))]


def c9(one: TextExperiment) -> list[Row]:
    rows = []
    published = paper.TAICHI_5.get(one.data, {}) if one.model == "bert" else {}
    for rival in rivals(one):
        for attack in one.attacks:
            text = f"taichi above {rival}: {attack}{trained_on(attack)}"
            there = None
            if rival in published and attack in paper.TAICHI_ATTACKS:
                place = 1 + paper.TAICHI_ATTACKS.index(attack)
                there = round(published["taichi"][place] - published[rival][place], 1)
            found = compared(one, rival, "taichi", attack)
            given = {"method": "taichi", "quantity": attack, "paper": there, "above": 0.0}
            rows += claim(one, "C9", text, found, (rival, "taichi"), **given)
    there = round(published["taichi"][0] - published[NORMAL][0], 1) if published else None
    text, found = f"taichi loses at most {CLEAN_LOSS:g} of clean accuracy", compared(one, NORMAL, "taichi", ACCURACY)
    given = {"method": "taichi", "quantity": ACCURACY, "paper": there, "above": -CLEAN_LOSS}
    return rows + claim(one, "C9", text, found, (), **given)


def c10(one: TextExperiment) -> list[Row]:
    clean, attacked = 5, 6
    expected = [
        ("taichi_no_kl keeps normal's clean accuracy", NORMAL, "taichi_no_kl", ACCURACY, {"above": -CLEAN_LOSS}),
        ("taichi_no_kl more robust than normal", NORMAL, "taichi_no_kl", ATTACK, {"above": 0.0}),
        ("taichi_no_ctr more robust than normal", NORMAL, "taichi_no_ctr", ATTACK, {"above": 0.0}),
        ("taichi more robust than taichi_no_kl", "taichi_no_kl", "taichi", ATTACK, {"above": 0.0}),
        ("taichi more robust than taichi_no_ctr", "taichi_no_ctr", "taichi", ATTACK, {"above": 0.0}),
        (
            f"taichi_no_adv within {NEAR_FULL:g} of taichi's robust accuracy", "taichi", "taichi_no_adv", ATTACK,
            {"above": -NEAR_FULL, "below": NEAR_FULL},
        ),
        ("taichi_no_adv below taichi's clean accuracy", "taichi", "taichi_no_adv", ACCURACY, {"below": 0.0}),
    ]  # fmt: skip
    rows = []
    for text, first, second, quantity, limits in expected:
        place = clean if quantity == ACCURACY else attacked
        there = None
        if one.data == "sst2" and one.model == "bert":
            there = round(paper.TAICHI_7[second][place] - paper.TAICHI_7[first][place], 1)
        given = {"method": second, "quantity": quantity, "paper": there, **limits}
        rows += claim(one, "C10", text, compared(one, first, second, quantity), (first, second), **given)
    return rows


def c11(one: TextExperiment) -> list[Row]:
    """KL(pos) falls along the ablations, and robust accuracy rises as it falls."""
    there = [name for name in (NORMAL, *ABLATIONS, "taichi") if any(map(kl_of_pairs, runs_of(one.folder, name)))]
    rows = []
    for first, second in zip(there, there[1:], strict=False):
        text = f"KL(pos) of {second} below that of {first}"
        found = by_values(one, first, second, kl_of_pairs, 1.0)
        published = None
        if one.data == "sst2" and one.model == "bert":
            published = round(paper.TAICHI_7[second][2] - paper.TAICHI_7[first][2], 2)
        given = {"method": second, "quantity": "kl_pos", "paper": published, "below": 0.0}
        rows += claim(one, "C11", text, found, (first, second), **given)
    return rows + ranks(one, there)


def ranks(one: TextExperiment, names: list[str]) -> list[Row]:
    """Spearman's correlation of KL(pos) and robust accuracy over the settings: -1 is the claim."""
    if len(names) < 3:
        return []
    kls = [mean_of(one, name, lambda run: measured(run, PAIRS).get("kl_pos")) for name in names]
    rates = [mean_of(one, name, lambda run: robust_accuracy(run, ATTACK)) for name in names]
    if None in kls or None in rates:
        return []
    rank = float(spearmanr(kls, rates).statistic)
    decided = "holds" if rank <= -0.99 else ("does not hold" if rank >= 0 else "undecided")
    why = f"Spearman's correlation over {len(names)} settings; it holds at -1 and does not from 0 up; no interval"
    text = "robust accuracy rises as KL(pos) falls, over the settings"
    row = {"claim": "C11", "text": text, "value": rank, "low": None, "high": None, "by_seed": [], "verdict": decided}
    return [{**row, "unit": "rank", "examples": len(names), "seeds": [], "paper": -1.0, "why": why, "method": "taichi",
             "quantity": "kl_pos"}]  # fmt: skip


def mean_of(one: TextExperiment, name: str, value: Callable[[Path], float | None]) -> float | None:
    found = [value(run) for run in runs_of(one.folder, name)]
    known = [number for number in found if number is not None]
    return statistics.mean(known) if known else None


def robust_accuracy(run: Path, attack: str) -> float | None:
    found = statuses_of(run, attack)
    return float(robust(np.array(list(found.values())))) if found else None


def averages(one: TextExperiment) -> list[str]:
    """The settings of linear averaging, by the share of the clean model."""
    found = [name for name in one.methods if name.startswith(AVERAGE)]
    return sorted(found, key=lambda name: float(name.removeprefix(AVERAGE)))


def c12(one: TextExperiment) -> list[Row]:
    """TaiChi against the most robust linear average of those that are as clean as it, else of all."""
    attack = ATTACK
    points = {name: (mean_accuracy(one, name), mean_of(one, name, lambda run: robust_accuracy(run, attack)))
              for name in averages(one) if compared(one, name, "taichi", attack)}  # fmt: skip
    known = {name: (clean, rate) for name, (clean, rate) in points.items() if rate is not None}
    if not known:
        return []
    clean = mean_accuracy(one, "taichi")
    as_clean = {name: point for name, point in known.items() if point[0] >= clean}
    best = max(as_clean or known, key=lambda name: known[name][1])
    which = "of those as clean as it" if as_clean else "of all, which are all less clean"
    text = f"taichi above the most robust linear average {which} ({best}): {attack}"
    given = {"method": "taichi", "quantity": attack, "above": 0.0}
    return claim(one, "C12", text, compared(one, best, "taichi", attack), (best, "taichi"), **given)


def mean_accuracy(one: TextExperiment, name: str) -> float:
    return statistics.mean(map(accuracy_of, runs_of(one.folder, name)))
