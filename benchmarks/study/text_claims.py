"""Claims C3, C8 to C15 and C21 (A2T, TaiChi, FLAT, GradMask) on the committed results of the `text_*` experiments.

    python -m benchmarks.study.text_claims          writes benchmarks/results/text_claims.json

Intervals are those of `benchmarks.study.paired`: 95 % bootstrap intervals over the same examples, for clean accuracies
those of paired answers, for error transitions McNemar's. `benchmarks.study.decide` widens them by the spread
between seeds and corrects the verdicts; `benchmarks.study.voids` says which checks are void. A claim is *not run* if
the runs that it needs are missing. C8 to C12 are in `benchmarks.study.taichi_claims`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import paper_numbers as paper
from benchmarks.study.checks import ACCURACY, NORMAL, Row, claim, counted_once
from benchmarks.study.decide import decide_claims
from benchmarks.study.embedding_claims import column_name, direction
from benchmarks.study.experiment import (
    FIXED,
    OWN,
    TAU,
    TOP5,
    Comparison,
    TextExperiment,
    compare,
    compare_asr,
    compare_values,
    mcnemar_difference,
    measure_of,
    pair_values,
    text_experiments,
)
from benchmarks.study.measures import ATTACK, CHALLENGE, MASKING
from benchmarks.study.paired import VOID, runs_by_seed, runs_of
from benchmarks.study.power import variance_of
from benchmarks.study.stored import EXPERIMENTS, RESULTS
from benchmarks.study.taichi_claims import c8, c9, c10, c11, c12
from benchmarks.study.voids import ASIDE, UNTRAINED
from hf_robust.metrics import paired_difference
from hf_robust.metrics.paired import POINTS, rates

FILE = "text_claims.json"
UNTRAINED_FLAT = f"flat{UNTRAINED}"
NOT_RUN = "not run"
UNCHANGED = 5.0
"""Points of antonym ASR that count as unchanged."""
DROP = 5.0
"""Points of accuracy; masked texts that cost more count as hard."""
FAR = 2.0
"""Errors fixed for each one introduced that count as far more: below the least ratio of GradMask's Figure 2, 2.2."""
SIDES = ("clean", "masked")
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
    "C21": "gradient_mask and normal, with challenge.json and transition.json",
}


# ---- A2T ----


def c3(experiment: TextExperiment) -> list[Row]:
    """C3: a2t lowers synonym ASR and leaves antonym ASR about unchanged."""
    models = (NORMAL, "a2t")
    rows = []
    for attack, text, limits in (
        ("synonym", "a2t lowers synonym ASR", {"below": 0.0}),
        ("antonym", f"a2t leaves antonym ASR within {UNCHANGED:g}", {"above": -UNCHANGED, "below": UNCHANGED}),
    ):
        rows += claim(
            experiment,
            "C3",
            text,
            compare_asr(experiment, *models, attack),
            models,
            method="a2t",
            quantity=attack,
            printed=round(paper.BAT_1["a2t"][attack] - paper.BAT_1[NORMAL][attack], 1),
            **limits,
        )
    return rows


# ---- FLAT ----


def c13(experiment: TextExperiment) -> list[Row]:
    """C13: FLAT has the highest after-attack accuracy, tau and top-5 intersection.

    Of what it gains only that over the same training with an untrained mask (`UNTRAINED_FLAT`) is due to importances.
    """
    published = paper.FLAT_3.get((experiment.model, experiment.data), {})
    rows = []
    rivals = (NORMAL, "adv_iter", UNTRAINED_FLAT)
    pairs = [*((rival, "flat") for rival in rivals), *[(NORMAL, "adv_iter")] * bool(published)]
    for first, second in pairs:
        quantities = (
            [("AA", 0, POINTS), ("KT", 1, POINTS), ("TI-5", 2, POINTS)] if second == "flat" else [("KT", 1, POINTS)]
        )
        for name, place, scale in quantities:
            unit = 1.0 if place == 0 else POINTS
            known = first in published and second in published
            paper_value = round(unit * (published[second][place] - published[first][place]), 1) if known else None
            for where in (OWN, FIXED) if place else (OWN,):
                if place == 0:
                    comparison = compare(experiment, first, second, ATTACK)
                else:
                    comparison = compare_values(
                        experiment, first, second, pair_values(where, TAU if place == 1 else TOP5), scale
                    )
                texts = {OWN: "own pairs", FIXED: "normal's pairs"}[where]
                of = f"{name} under {ATTACK}" if place == 0 else f"{name} on {texts}"
                fields = {"method": second, "quantity": name if place else ATTACK, "part": name}
                fields["paper"] = paper_value if where == OWN else None
                # adv_iter is expected below the baseline in the paper's cells where it is, and above in the others.
                falls = second == "adv_iter" and published[second][place] < published[first][place]
                verb, limits = ("below", {"below": 0.0}) if falls else ("above", {"above": 0.0})
                rows += claim(
                    experiment,
                    "C13",
                    f"{second} {verb} {first}: {of}",
                    comparison,
                    (first, second),
                    **fields,
                    **limits,
                )
    return rows


def c14(experiment: TextExperiment) -> list[Row]:
    """C14: FLAT is more robust under attacks that it was not trained on."""
    rows = []
    for attack in experiment.attacks:
        published = paper.FLAT_4.get((experiment.model, attack), {}) if experiment.data == "sst2" else {}
        for first in (NORMAL, "adv_iter", UNTRAINED_FLAT):
            if attack == ATTACK:
                continue
            paper_value = round(published["flat"] - published[first], 1) if first in published else None
            fields = {"method": "flat", "quantity": attack, "paper": paper_value, "above": 0.0}
            comparison = compare(experiment, first, "flat", attack)
            rows += claim(
                experiment, "C14", f"flat above {first}: {attack}, unseen", comparison, (first, "flat"), **fields
            )
    return rows


def c15(experiment: TextExperiment) -> list[Row]:
    """C15: FLAT without the entropy term or without the consistency term is less robust."""
    rows = []
    for other, what in (("flat_beta0", "beta"), ("flat_gamma0", "gamma")):
        paper_value = round(paper.FLAT_5["flat"] - paper.FLAT_5[other], 1) if experiment.data == "sst2" else None
        fields = {"method": other, "quantity": ATTACK, "paper": paper_value, "above": 0.0}
        comparison = compare(experiment, other, "flat", ATTACK)
        rows += claim(
            experiment, "C15", f"flat above flat with {what} 0: {ATTACK}", comparison, (other, "flat"), **fields
        )
    return rows


# ---- GradMask ----


def c21(experiment: TextExperiment) -> list[Row]:
    """C21: masked texts are hard, and training on them fixes far more errors than it introduces."""
    text = f"{NORMAL} loses more than {DROP:g} points where the most salient token is masked"
    fields = {"method": NORMAL, "quantity": CHALLENGE, "part": "masked texts are hard", "below": -DROP}
    drop = masked_drop(experiment)
    rows = claim(experiment, "C21", text, drop, (NORMAL,), control="its own clean texts", **fields)
    text = f"{MASKING} above {NORMAL} on the texts that are masked for {NORMAL}"
    fields = {"method": MASKING, "quantity": CHALLENGE, "part": ASIDE, "above": 0.0}
    gain = compare_values(experiment, NORMAL, MASKING, lambda run: by_row(run, "masked"), POINTS)
    rows += claim(experiment, "C21", text, gain, (NORMAL, MASKING), **fields)
    runs = runs_of(experiment.folder, MASKING)
    for name in SLICES:
        text = f"{MASKING} fixes at least {FAR:g} errors for each that it introduces: {name}"
        fields = {"method": MASKING, "quantity": "transition", "part": "far more fixed", "above": 0.0}
        # The paper's shares are of errors, not of texts; the table of slices has them.
        fields["slice"] = paper.GRADMASK_SLICES.get(name)
        rows += claim(experiment, "C21", text, mcnemar_difference(runs, name, FAR), (NORMAL, MASKING), **fields)
    return rows


def by_row(run: Path, texts: str) -> dict[str, float]:
    """Row -> whether the model is right, on the ``clean`` or the ``masked`` texts; empty if it was not measured."""
    return {str(row): float(digit) for row, digit in enumerate(measure_of(run, CHALLENGE).get(texts, ""))}


def masked_drop(experiment: TextExperiment) -> Comparison | None:
    """Accuracy of `normal` on its masked texts minus that on the texts; None if it was not measured."""
    runs = {seed: run for seed, run in runs_by_seed(experiment.folder, NORMAL).items() if by_row(run, "masked")}
    if not runs:
        return None
    clean, masked = (np.array([list(by_row(run, side).values()) for run in runs.values()]) for side in SIDES)
    variance = variance_of(POINTS * (masked - clean))
    return Comparison(paired_difference(clean, masked, rates), clean.shape[1], tuple(runs), variance=variance)


# ---- all of them ----

CLAIMS = {"C3": c3, "C8": c8, "C9": c9, "C10": c10, "C11": c11, "C12": c12, "C13": c13, "C14": c14, "C15": c15,
          "C21": c21}  # fmt: skip


def against_normal(experiment: TextExperiment) -> list[Row]:
    """Every setting minus `normal` in clean accuracy and in robust accuracy under each attack."""
    rows = []
    for method in experiment.methods:
        for quantity in (ACCURACY, *experiment.attacks):
            comparison = compare(experiment, NORMAL, method, quantity) if method != NORMAL else None
            if comparison is None:
                continue
            void = quantity != ACCURACY and (experiment.near_chance(method) or experiment.near_chance(NORMAL))
            text = f"{method} minus {NORMAL}: {column_name(quantity)}"
            row = {
                "text": text,
                **comparison.difference._asdict(),
                "verdict": VOID if void else direction(comparison.difference),
            }
            rows.append({**row, "method": method, "quantity": quantity, "examples": comparison.examples})
    return rows


def check_all(results: Path = RESULTS, files: Path = EXPERIMENTS) -> dict[str, dict[str, list[Row]]]:
    """Experiment -> checks and differences to `normal`; ``not run`` -> the claims without any check."""
    by_experiment: dict[str, dict[str, list[Row]]] = {}
    for experiment in text_experiments(results, files):
        if experiment.methods:
            rows = counted_once(experiment.folder, [row for check in CLAIMS.values() for row in check(experiment)])
            by_experiment[experiment.name] = {"claims": rows, "against_normal": against_normal(experiment)}
    if not by_experiment:
        return by_experiment
    decided = {row["claim"] for rows in by_experiment.values() for row in rows["claims"]}
    by_experiment[NOT_RUN] = {"claims": [not_run(number) for number in CLAIMS if number not in decided]}
    return decide_claims(by_experiment)


def not_run(number: str) -> Row:
    """The row of a claim without any check; its text names the runs that are needed."""
    row = {"claim": number, "text": NEEDS[number], "value": None, "low": None, "high": None, "by_seed": []}
    row |= {"verdict": NOT_RUN, "unit": "points", "examples": None, "seeds": [], "paper": None, "runs": []}
    return {**row, "why": "there is no run of it", "method": None, "quantity": None}


def rounded(value: Any) -> Any:
    """The value with floats rounded to four digits, since later digits differ between machines."""
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
