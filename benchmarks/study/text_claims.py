"""Claims C3, C8 to C15 and C21 (A2T, TaiChi, FLAT, GradMask) on the committed results of `text_*` experiments.

    python benchmarks/text_claims.py          writes benchmarks/results/text_claims.json

Intervals are those of `benchmarks.study.paired`: 95 % bootstrap intervals over the same examples, of clean accuracies those
of independent rates, of error transitions McNemar's. A claim *holds* where the whole interval lies on its side, does
*not* hold where it lies on the other side, and is *undecided* otherwise; it is *void* by the rule of
`benchmarks.study.checks`, and *not run* where the runs that it needs are not there. Each verdict has its reason, made of the
numbers.

Claims C13 to C15 of FLAT: prediction and interpretation, transfer to other attacks, what each term adds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import paper_numbers as paper
from benchmarks.study.checks import ACCURACY, NORMAL, OTHER_QUANTITY, Row, claim, counted_once
from benchmarks.study.embedding_claims import column, side
from benchmarks.study.experiment import (
    FIXED,
    OWN,
    TAU,
    TOP5,
    Compared,
    TextExperiment,
    by_values,
    compared,
    compared_asr,
    experiments,
    mcnemar_difference,
    of_pairs,
)
from benchmarks.study.measures import ATTACK, MASKING
from benchmarks.study.paired import VOID, runs_by_seed, runs_of, statuses_of
from benchmarks.study.stored import EXPERIMENTS, RESULTS
from benchmarks.study.taichi_claims import c8, c9, c10, c11, c12
from hf_robust.metrics import paired_difference
from hf_robust.metrics.paired import POINTS, robust


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


FILE = "text_claims.json"
NOT_RUN = "not run"
UNCHANGED = 5.0
"""Points of antonym ASR that count as about unchanged."""
DROP = 5.0
"""Points of accuracy beyond which masked texts count as hard."""
SLICES = ("all", "negation", "ambiguity", "long")
NEEDS = {
    "C3": "a2t and normal under the attacks synonym and antonym",
    "C8": "base_adv, base_adv_soft and normal",
    "C9": "taichi and another method",
    "C10": "taichi, its ablations and normal",
    "C11": "pairs.json of taichi, its ablations and normal",
    "C12": "taichi and linear_average_*",
    "C13": "flat, adv_iter and normal, and their interpretation.json",
    "C14": "flat and normal under attacks that are not trained on",
    "C15": "flat, flat_beta0 and flat_gamma0",
    "C21": "gradient_mask and normal under the attack gradient_mask, and transition.json",
}


# ---- A2T ----


def c3(one: TextExperiment) -> list[Row]:
    models = (NORMAL, "a2t")
    rows = []
    for attack, text, limits in (
        ("synonym", "a2t lowers synonym ASR", {"below": 0.0}),
        ("antonym", f"a2t leaves antonym ASR within {UNCHANGED:g}", {"above": -UNCHANGED, "below": UNCHANGED}),
    ):
        rows += claim(
            one, "C3", text, compared_asr(one, *models, attack), models, method="a2t", quantity=attack, **limits
        )
    return rows


# ---- GradMask ----


def c21(one: TextExperiment) -> list[Row]:
    # The paper masks every text for one model and reads accuracy on all of them. The attack passes over what was wrong
    # before, and masks for each model that it meets: a loss that cannot be a gain, and two models on different texts.
    given = {"method": NORMAL, "quantity": MASKING, "control": "its own clean texts", "void": OTHER_QUANTITY}
    text = f"{NORMAL} loses more than {DROP:g} points where one word of a right text is masked"
    rows = claim(one, "C21", text, masked_drop(one), (NORMAL,), **given, below=-DROP)
    given = {"method": MASKING, "quantity": MASKING, "void": OTHER_QUANTITY, "above": 0.0}
    text, found = f"{MASKING} above {NORMAL}, each masked by its own gradient", compared(one, NORMAL, MASKING, MASKING)
    rows += claim(one, "C21", text, found, (NORMAL, MASKING), **given)
    runs = runs_of(one.folder, MASKING)
    for name in SLICES:
        there = paper.GRADMASK_SLICES.get(name)
        text = f"{MASKING} fixes more errors than it introduces: {name}"
        given = {"method": MASKING, "quantity": "transition", "above": 0.0}
        # The paper's shares are of errors, not of texts: they stand in the table of slices.
        rows += claim(one, "C21", text, mcnemar_difference(runs, name), (NORMAL, MASKING), **given, slice=there)
    return rows


def masked_drop(one: TextExperiment) -> Compared | None:
    """Accuracy of `normal` on its own masked texts minus that on the texts; one that is wrong before stays wrong."""
    found = {seed: statuses_of(run, MASKING) for seed, run in runs_by_seed(one.folder, NORMAL).items()}
    found = {seed: values for seed, values in found.items() if values}
    if not found:
        return None
    masked = np.array([list(values.values()) for values in found.values()])
    clean = np.where(np.isnan(masked), np.nan, 0.0)
    return Compared(paired_difference(clean, masked, robust), masked.shape[1], tuple(found))


# ---- all of them ----

CLAIMS = {"C3": c3, "C8": c8, "C9": c9, "C10": c10, "C11": c11, "C12": c12, "C13": c13, "C14": c14, "C15": c15,
          "C21": c21}  # fmt: skip


def against_normal(one: TextExperiment) -> list[Row]:
    """Every setting minus `normal`: clean accuracy, and robust accuracy under each attack."""
    rows = []
    for method in one.methods:
        for quantity in (ACCURACY, *one.attacks):
            found = compared(one, NORMAL, method, quantity) if method != NORMAL else None
            if found is None:
                continue
            void = quantity != ACCURACY and (one.near_guessing(method) or one.near_guessing(NORMAL))
            text = f"{method} minus {NORMAL}: {column(quantity)}"
            row = {"text": text, **found.found._asdict(), "verdict": VOID if void else side(found.found)}
            rows.append({**row, "method": method, "quantity": quantity, "examples": found.examples})
    return rows


def check_all(results: Path = RESULTS, files: Path = EXPERIMENTS) -> dict[str, dict[str, list[Row]]]:
    """Claims and differences by experiment; under `not run` the claims that no experiment says anything about."""
    found: dict[str, dict[str, list[Row]]] = {}
    for one in experiments(results, files):
        if one.methods:
            rows = counted_once(one.folder, [row for check in CLAIMS.values() for row in check(one)])
            found[one.name] = {"claims": rows, "against_normal": against_normal(one)}
    if not found:
        return found
    made = {row["claim"] for rows in found.values() for row in rows["claims"]}
    found[NOT_RUN] = {"claims": [not_run(number) for number in CLAIMS if number not in made]}
    return found


def not_run(number: str) -> Row:
    row = {"claim": number, "text": NEEDS[number], "value": None, "low": None, "high": None, "by_seed": []}
    row |= {"verdict": NOT_RUN, "unit": "points", "examples": None, "seeds": [], "paper": None, "runs": []}
    return {**row, "why": "there is no run of it", "method": None, "quantity": None}


def rounded(value: Any) -> Any:
    """Four digits: the last ones differ between machines."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value


def main(results: Path = RESULTS, files: Path = EXPERIMENTS) -> None:
    text = json.dumps(rounded(check_all(results, files)), indent=1) + "\n"
    (results / FILE).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
