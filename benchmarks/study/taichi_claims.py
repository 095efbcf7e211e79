"""Claims C8 to C12 of TaiChi: label conflict, robust accuracy, ablations, KL of pairs, linear averaging."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.study import paper_numbers as paper
from benchmarks.study.checks import ACCURACY, CLEAN_LOSS, NORMAL, Row, claim, trained_on
from benchmarks.study.controls import PARTNERS
from benchmarks.study.experiment import TextExperiment, compare, compare_values, contrast_accuracies, kl_of_pairs
from benchmarks.study.measures import ATTACK
from benchmarks.study.paired import accuracy_of, runs_of, statuses_of
from benchmarks.study.voids import ASIDE, NO_RIVAL, UNSEEN
from hf_robust.metrics.paired import robust

NEAR_FULL = 3.0
"""Points of robust accuracy within which two settings count as nearly equal."""
ABLATIONS = ("taichi_no_kl", "taichi_no_ctr", "taichi_no_adv")
AVERAGE = "linear_average_"
OF_TAICHI = ("taichi", AVERAGE, "base_adv")
PAPER_RIVALS = tuple(name for name in paper.TAICHI_5["sst2"] if name != "taichi")


def c8(experiment: TextExperiment) -> list[Row]:
    """C8: training on adversarial texts with one-hot labels costs clean accuracy, with soft labels less."""
    published = paper.TAICHI_4 if experiment.data == "sst2" else {}
    half = {"base_adv_soft": 1.0, "base_adv": -0.5, NORMAL: -0.5}
    texts = {
        "base_adv loses clean accuracy": ({"base_adv": 1.0, NORMAL: -1.0}, {"below": 0.0}),
        "base_adv_soft recovers more than half of what base_adv loses": (half, {"above": 0.0}),
    }
    rows = []
    for text, (weights, limits) in texts.items():
        paper_value = (
            round(sum(weight * published[name] for name, weight in weights.items()), 1) if published else None
        )
        method, others = next(iter(weights)), [name for name in weights if name != NORMAL]
        fields = {"method": method, "quantity": ACCURACY, "paper": paper_value, **limits}
        fields["control"] = " and ".join(name for name in weights if name != method)
        rows += claim(experiment, "C8", text, contrast_accuracies(experiment, weights), (NORMAL, *others), **fields)
    return rows


def rivals(experiment: TextExperiment) -> list[str]:
    """The settings other than TaiChi, its ablations and FLAT's ablations."""
    return [name for name in experiment.methods if not name.startswith((*OF_TAICHI, "flat_"))]


def c9(experiment: TextExperiment) -> list[Row]:
    """C9: TaiChi is the most robust method under each attack, at a small loss of clean accuracy."""
    rows = []
    published = paper.TAICHI_5.get(experiment.data, {}) if experiment.model == "bert" else {}
    for rival in rivals(experiment):
        for attack in experiment.attacks:
            text = f"taichi above {rival}: {attack}{trained_on(attack)}"
            paper_value = None
            if rival in published and attack in paper.TAICHI_ATTACKS:
                place = 1 + paper.TAICHI_ATTACKS.index(attack)
                paper_value = round(published["taichi"][place] - published[rival][place], 1)
            comparison = compare(experiment, rival, "taichi", attack)
            fields = {
                "method": "taichi",
                "quantity": attack,
                "paper": paper_value,
                "part": f"above {rival}" if rival in PAPER_RIVALS else ASIDE,
                "above": 0.0,
            }
            void = NO_RIVAL if rival not in PAPER_RIVALS else "" if attack == ATTACK else UNSEEN
            rows += claim(experiment, "C9", text, comparison, (rival, "taichi"), void=void, **fields)
    paper_value = round(published["taichi"][0] - published[NORMAL][0], 1) if published else None
    text = f"taichi loses at most {CLEAN_LOSS:g} of clean accuracy"
    comparison = compare(experiment, NORMAL, "taichi", ACCURACY)
    fields = {"method": "taichi", "quantity": ACCURACY, "paper": paper_value, "part": text, "above": -CLEAN_LOSS}
    return rows + claim(experiment, "C9", text, comparison, (NORMAL, "taichi"), **fields)


def c10(experiment: TextExperiment) -> list[Row]:
    """C10: each of TaiChi's parts adds robustness."""
    clean, attacked = 5, 6
    expected = [
        ("taichi_no_kl keeps normal's clean accuracy", NORMAL, "taichi_no_kl", ACCURACY, {"above": -CLEAN_LOSS}),
        ("taichi_no_kl more robust than normal", NORMAL, "taichi_no_kl", ATTACK, {"above": 0.0}),
        ("taichi_no_ctr more robust than normal", NORMAL, "taichi_no_ctr", ATTACK, {"above": 0.0}),
        ("taichi more robust than taichi_no_kl", "taichi_no_kl", "taichi", ATTACK, {"above": 0.0}),
        ("taichi more robust than taichi_no_ctr", "taichi_no_ctr", "taichi", ATTACK, {"above": 0.0}),
        (
            f"taichi more robust than taichi_no_adv, by less than {NEAR_FULL:g}", "taichi_no_adv", "taichi", ATTACK,
            {"above": 0.0, "below": NEAR_FULL},
        ),
        ("taichi_no_adv below taichi's clean accuracy", "taichi", "taichi_no_adv", ACCURACY, {"below": 0.0}),
    ]  # fmt: skip
    rows = []
    for text, first, second, quantity, limits in expected:
        place = clean if quantity == ACCURACY else attacked
        paper_value = None
        if experiment.data == "sst2" and experiment.model == "bert":
            paper_value = round(paper.TAICHI_7[second][place] - paper.TAICHI_7[first][place], 1)
        fields = {"method": second, "quantity": quantity, "paper": paper_value, "part": text, **limits}
        rows += claim(experiment, "C10", text, compare(experiment, first, second, quantity), (first, second), **fields)
    return rows


def c11(experiment: TextExperiment) -> list[Row]:
    """C11: from each setting to the next KL(pos) falls and robust accuracy rises."""
    settings = [
        name for name in (NORMAL, *ABLATIONS, "taichi") if any(map(kl_of_pairs, runs_of(experiment.folder, name)))
    ]
    of_paper = experiment.data == "sst2" and experiment.model == "bert"
    rows = []
    for first, second in zip(settings, settings[1:], strict=False):
        for quantity, place, digits, text, limits in (
            ("kl_pos", 2, 2, f"KL(pos) of {second} below that of {first}", {"below": 0.0}),
            (ATTACK, 6, 1, f"{second} more robust than {first}", {"above": 0.0}),
        ):
            steps = paper.TAICHI_7[second][place] - paper.TAICHI_7[first][place]
            if quantity == ATTACK:
                comparison = compare(experiment, first, second, ATTACK)
            else:
                comparison = compare_values(experiment, first, second, kl_of_pairs, 1.0)
            published = round(steps, digits) if of_paper else None
            fields = {"method": second, "quantity": quantity, "paper": published, "part": text, **limits}
            rows += claim(experiment, "C11", text, comparison, (first, second), **fields)
    return rows


def mean_of(experiment: TextExperiment, name: str, value: Callable[[Path], float | None]) -> float | None:
    """Mean of a value over the runs of a setting that have it; None if none has."""
    values = [value(run) for run in runs_of(experiment.folder, name)]
    known = [number for number in values if number is not None]
    return statistics.mean(known) if known else None


def robust_accuracy(run: Path, attack: str) -> float | None:
    """Robust accuracy of a run under an attack; None if it was not run."""
    statuses = statuses_of(run, attack)
    return float(robust(np.array(list(statuses.values())))) if statuses else None


def averages(experiment: TextExperiment) -> list[str]:
    """The settings of linear averaging, ordered by the share of the clean model."""
    names = [name for name in experiment.methods if name.startswith(AVERAGE)]
    return sorted(names, key=lambda name: float(name.removeprefix(AVERAGE)))


def c12(experiment: TextExperiment) -> list[Row]:
    """C12: TaiChi against the most robust linear average that is as clean as it; if none is, of all averages."""
    attack = ATTACK
    points = {
        name: (
            mean_accuracy(experiment, name),
            mean_of(experiment, name, lambda run: robust_accuracy(run, attack)),
        )
        for name in averages(experiment)
        if compare(experiment, name, "taichi", attack)
    }
    known = {name: (clean, rate) for name, (clean, rate) in points.items() if rate is not None}
    if not known:
        return []
    clean = mean_accuracy(experiment, "taichi")
    as_clean = {name: point for name, point in known.items() if point[0] >= clean}
    best = max(as_clean or known, key=lambda name: known[name][1])
    which = "of those as clean as it" if as_clean else "of all, which are all less clean"
    text = f"taichi above the most robust linear average {which} ({best}): {attack}"
    fields = {"method": "taichi", "quantity": attack, "above": 0.0}
    partners = tuple(name for name in PARTNERS if runs_of(experiment.folder, name))
    control = f"{best}, of {NORMAL} and its adversarial partner"
    comparison = compare(experiment, best, "taichi", attack)
    return claim(experiment, "C12", text, comparison, (best, "taichi", *partners), control=control, **fields)


def mean_accuracy(experiment: TextExperiment, name: str) -> float:
    """Mean clean accuracy of a setting."""
    return statistics.mean(map(accuracy_of, runs_of(experiment.folder, name)))
