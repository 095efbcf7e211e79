"""Claims C13 to C15 of FLAT: prediction and interpretation, transfer to other attacks, what each term adds."""

from __future__ import annotations

from benchmarks import text_paper as paper
from benchmarks.text_measures import ATTACK
from benchmarks.text_runs import FIXED, OWN, TAU, TOP5, TextExperiment, by_values, compared, of_pairs
from benchmarks.text_verdicts import NORMAL, Row, claim
from hf_robust.metrics.paired import POINTS


def c13(one: TextExperiment) -> list[Row]:
    published = paper.FLAT_3.get((one.model, one.data), {})
    rows = []
    pairs = [(NORMAL, "flat"), ("adv_iter", "flat"), *[(NORMAL, "adv_iter")] * bool(published)]
    for first, second in pairs:
        wanted = (
            [("AA", 0, POINTS), ("KT", 1, POINTS), ("TI-5", 2, POINTS)] if second == "flat" else [("KT", 1, POINTS)]
        )
        for name, place, scale in wanted:
            unit = 1.0 if place == 0 else POINTS
            there = round(unit * (published[second][place] - published[first][place]), 1) if published else None
            for where in (OWN, FIXED) if place else (OWN,):
                if place == 0:
                    found = compared(one, first, second, ATTACK)
                else:
                    found = by_values(one, first, second, of_pairs(where, TAU if place == 1 else TOP5), scale)
                texts = {OWN: "own pairs", FIXED: "normal's pairs"}[where]
                of = f"{name} under {ATTACK}" if place == 0 else f"{name} on {texts}"
                given = {"method": second, "quantity": name, "paper": there if where == OWN else None}
                # That adv_iter *can* fall below base is for the paper's cells where it does; in the others it rises.
                falls = second == "adv_iter" and published[second][place] < published[first][place]
                verb, limits = ("below", {"below": 0.0}) if falls else ("above", {"above": 0.0})
                rows += claim(one, "C13", f"{second} {verb} {first}: {of}", found, (first, second), **given, **limits)
    return rows


def c14(one: TextExperiment) -> list[Row]:
    rows = []
    for attack in one.attacks:
        published = paper.FLAT_4.get((one.model, attack), {}) if one.data == "sst2" else {}
        for first in (NORMAL, "adv_iter"):
            if attack == ATTACK:
                continue
            there = round(published["flat"] - published[first], 1) if published else None
            given = {"method": "flat", "quantity": attack, "paper": there, "above": 0.0}
            found = compared(one, first, "flat", attack)
            rows += claim(one, "C14", f"flat above {first}: {attack}, unseen", found, (first, "flat"), **given)
    return rows


def c15(one: TextExperiment) -> list[Row]:
    rows = []
    for other, what in (("flat_beta0", "beta"), ("flat_gamma0", "gamma")):
        there = round(paper.FLAT_5["flat"] - paper.FLAT_5[other], 1) if one.data == "sst2" else None
        given = {"method": other, "quantity": ATTACK, "paper": there, "above": 0.0}
        found = compared(one, other, "flat", ATTACK)
        rows += claim(one, "C15", f"flat above flat with {what} 0: {ATTACK}", found, (other, "flat"), **given)
    return rows
