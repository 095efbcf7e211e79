"""Claims C16 to C20 of AdaptAT on the committed results, and every embedding-space method against `normal`.

    python -m benchmarks.study.embedding_claims          writes benchmarks/results/embedding_claims.json

Intervals and verdicts are those of `benchmarks.study.paired`; `benchmarks.study.checks` says which checks are void and
that each measurement counts once. C16 and C18 are in `benchmarks.study.sweep`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study.checks import ACCURACY, Row, counted_once, judged
from benchmarks.study.controls import FROZEN
from benchmarks.study.decide import decide_claims
from benchmarks.study.experiment import RECIPES, Experiment
from benchmarks.study.paired import (
    VOID,
    accuracy_difference,
    accuracy_variance,
    attack_variance,
    between,
    check_row,
    eval_samples,
    paired_outcomes,
    read,
    robust_difference,
    runs_of,
    shared_runs,
)
from benchmarks.study.run import WEIGHTS
from benchmarks.study.stored import EXPERIMENTS, RESULTS
from benchmarks.study.sweep import c16, c18, read_sweep
from benchmarks.study.voids import unweighted
from hf_robust.metrics import Difference
from hf_robust.metrics.paired import DRAWS, POINTS
from hf_robust.trainers import METHODS
from hf_robust.training.adaptive import AdaptiveTrainer

Values = np.ndarray[Any, Any]
FILE = "embedding_claims.json"
LINEARISATION = "embedding_linearisation"

WRAPPED = {name: trainer.wraps for name, trainer in METHODS.items() if issubclass(trainer, AdaptiveTrainer)}
ALLOWED_LOSS = 1.0
PAPER = {
    "sst2": {
        "adaptive_pgd": {"textfooler": 3.1, "textbugger": 3.5, ACCURACY: -0.1},
        "adaptive_freelb": {"textfooler": 5.7, "textbugger": 4.7, ACCURACY: -0.6},
        "adaptive_tavat": {"textfooler": 6.5, "textbugger": 3.7, ACCURACY: 0.1},
    },
    "qnli": {
        "adaptive_pgd": {"textfooler": 5.5, "textbugger": 0.4, ACCURACY: 0.9},
        "adaptive_freelb": {"textfooler": 2.2, "textbugger": 3.6, ACCURACY: 0.1},
        "adaptive_tavat": {"textbugger": 6.0},
    },
}
"""Adaptive minus wrapped method by data set in AdaptAT's Table 2 (BERT-base). Left out: TA-VAT's other cells on QNLI,
which repeat those of SST-2; and AdvGLUE, whose rates are no multiples of 1/148, the size of the public part, and so
are of other texts."""
KEYS = ("loss", "linearised_loss", "linearisation_error", "clean_loss")
LEAST_CORRELATION, LARGEST_ERROR = 90.0, 10.0
"""Limits of what counts as tracking, in points: our choice, since the paper shows two curves and no number."""


def embedding_experiments(results: Path = RESULTS, files: Path = EXPERIMENTS) -> list[Experiment]:
    """The experiments that compare embedding-space methods."""
    experiments = [Experiment(path, results / path.stem) for path in sorted(files.glob("embedding_*.json"))]
    return [experiment for experiment in experiments if "methods" in experiment.spec]


def difference_in(experiment: Experiment, first: str, second: str, quantity: str) -> Difference:
    """Second minus first in clean accuracy, or in robust accuracy under the named attack."""
    if quantity == ACCURACY:
        return accuracy_difference(experiment.folder, first, second)
    return robust_difference(experiment.folder, first, second, quantity)


def column_name(quantity: str) -> str:
    """Name of a quantity in table headers."""
    if quantity == ACCURACY:
        return "clean accuracy"
    return "AdvGLUE accuracy" if quantity.startswith("file_") else quantity


def quantity_name(quantity: str) -> str:
    """Name of a quantity in the text of a check."""
    return f"{quantity} robust accuracy" if quantity in RECIPES else column_name(quantity)


def with_examples(
    experiment: Experiment, row: dict[str, Any], first: str, second: str, quantity: str
) -> dict[str, Any]:
    """The row with its method, quantity, unit, number of examples, and variances."""
    folder = experiment.folder
    if quantity == ACCURACY:
        examples, variance = eval_samples(runs_of(folder, first)[0]), accuracy_variance(folder, between(first, second))
    else:
        examples = paired_outcomes(folder, first, second, quantity)[0].shape[1]
        variance = attack_variance(folder, first, second, quantity)
    row = {**row, "variance": asdict(variance) if variance else None}
    return {**row, "method": second, "quantity": quantity, "unit": "points", "examples": examples}


def c17(experiment: Experiment) -> list[dict[str, Any]]:
    """C17: an adaptive method is more robust than the method that it wraps, at the same clean accuracy.

    An adaptive method also trains at another point than the wrapped method, whatever its weights. A gain is due to the
    weights only if the method is also more robust than with frozen weights (`benchmarks.study.controls`).
    """
    rows = []
    for adaptive, wrapped in WRAPPED.items():
        if not shared_runs(experiment.folder, wrapped, adaptive):
            continue
        frozen = adaptive + FROZEN
        void = unweighted(experiment.folder, adaptive)
        has_frozen = bool(shared_runs(experiment.folder, frozen, adaptive))
        for quantity in (*experiment.attacks, ACCURACY):
            printed = PAPER.get(experiment.name.split("_")[1], {}).get(adaptive, {}).get(quantity)
            difference = difference_in(experiment, wrapped, adaptive, quantity)
            if quantity == ACCURACY:
                row = check_row(
                    "C17", f"{adaptive} keeps {wrapped}'s clean accuracy within 1", difference, above=-ALLOWED_LOSS
                )
            else:
                row = check_row(
                    "C17", f"{adaptive} raises {wrapped}'s {quantity_name(quantity)}", difference, above=0.0
                )
            row["paper"] = printed
            row = with_examples(experiment, row, wrapped, adaptive, quantity)
            rows.append(judged(experiment, row, (wrapped, adaptive), void=void))
            if has_frozen and quantity != ACCURACY:
                text = f"{adaptive} above its frozen weights: {quantity_name(quantity)}"
                row = check_row("C17", text, difference_in(experiment, frozen, adaptive, quantity), above=0.0)
                # The paper owes its whole gain to the weights.
                row = {**with_examples(experiment, row, frozen, adaptive, quantity), "paper": printed}
                rows.append(judged(experiment, row, (frozen, adaptive), void=void))
    return counted_once(experiment.folder, rows)


def against_normal(experiment: Experiment) -> list[dict[str, Any]]:
    """Every method minus `normal` in clean accuracy and in robust accuracy under each attack."""
    rows = []
    for method in experiment.methods:
        if method == "normal" or not shared_runs(experiment.folder, "normal", method):
            continue
        for quantity in (ACCURACY, *experiment.attacks):
            difference = difference_in(experiment, "normal", method, quantity)
            text = f"{method} minus normal: {quantity_name(quantity)}"
            void = quantity != ACCURACY and (experiment.near_chance("normal") or experiment.near_chance(method))
            row = {"text": text, **difference._asdict(), "verdict": VOID if void else direction(difference)}
            rows.append(with_examples(experiment, row, "normal", method, quantity))
    return rows


def direction(difference: Difference) -> str:
    """Side of 0 on which the whole interval lies."""
    if difference.low > 0:
        return "higher"
    return "lower" if difference.high < 0 else "neither"


def c19(file: Path) -> list[dict[str, Any]]:
    """C19: an adaptive step costs as much as pgd's, and 1/k more than freelb's and tavat's.

    Uses the results of `benchmarks.performance.cost`; those of other benchmarks of cost have no pairs. The range over
    the rounds serves as interval: the claim holds if it lies wholly within the goal around the expected overhead, and
    does not hold if wholly outside.
    """
    costs = read(file)
    rows = []
    for pair, pair_costs in costs.get("pairs", {}).items():
        adaptive, wrapped = pair.split("/")
        expected = 0.0 if wrapped == "pgd" else 100 / costs["setting"]["adv_steps"]
        ratio = {key: 100 * (pair_costs["ratio"][key] - 1) for key in ("median", "low", "high")}
        overhead = Difference(ratio["median"], ratio["low"], ratio["high"], [])
        goal = 100 * pair_costs["goal"]
        text = f"a step of {adaptive} costs {expected:.0f} % more than one of {wrapped}, within {goal:.0f} points"
        row = check_row("C19", text, overhead, above=expected - goal, below=expected + goal)
        row |= {"paper": round(100 * (pair_costs["paper"] - 1), 1), "runs": [wrapped, adaptive], "control": wrapped}
        rows.append({**row, "method": adaptive, "quantity": "cost", "unit": "%", "examples": None})
    return rows


# ---- C20: the linearised loss ----


def c20(experiment: Experiment) -> list[Row]:
    """C20 (Figure 4): the linearised loss tracks the true one. Two checks a setting: correlation and relative error.

    A line of ``adversary_weights.jsonl`` has ``loss``, the loss at the weighted point; ``linearised_loss``, its
    first-order approximation along the ascent; ``linearisation_error``, their mean distance; and ``clean_loss``, all
    with the same dropout masks. Most of either loss is the clean loss, which both share. So the checks compare the
    increases over the clean loss, and the error is relative to the true increase. Intervals are bootstrap intervals
    over the lines of all seeds, which are not independent within a run.
    """
    rows = [
        (name, _tracking_rows(experiment.folder, name, setting))
        for name, setting in experiment.spec["settings"].items()
    ]
    return [
        judged(experiment, row, (name,), control="the loss increase at the same point")
        for name, checks in rows
        for row in checks
    ]


def logged_losses(run: Path) -> Values:
    """(lines, 4) values of `KEYS`, for the lines that have all of them."""
    path = run / WEIGHTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    entries = [entry for entry in map(json.loads, lines) if all(key in entry for key in KEYS)]
    return np.array([[entry[key] for key in KEYS] for entry in entries]).reshape(-1, len(KEYS))


def correlation(values: Values) -> float:
    """Pearson correlation of the true and the linearised increase over the clean loss, in points."""
    true, linear = (values[:, column_name] - values[:, 3] for column_name in (0, 1))
    return float(POINTS * np.corrcoef(true, linear)[0, 1])


def relative_error(values: Values) -> float:
    """Mean error divided by the mean increase (adversarial minus clean loss), in points."""
    return float(POINTS * values[:, 2].mean() / (values[:, 0] - values[:, 3]).mean())


def _tracking_rows(folder: Path, name: str, setting: dict[str, Any]) -> list[dict[str, Any]]:
    by_seed = [values for values in map(logged_losses, runs_of(folder, name)) if len(values) > 2]
    if not by_seed:
        return []
    steps = "raw" if setting.get("adv_norm_type") == "none" else "normalised"
    where = f"{setting['robust_method']}, {steps} steps, alpha {setting['adv_lr']:g}"
    shared = {
        "method": setting["robust_method"], "unit": "points", "examples": sum(map(len, by_seed)), "paper": None,
    }  # fmt: skip
    tracks = check_row(
        "C20", f"{where}: the linearised increase correlates with the true one above {LEAST_CORRELATION / POINTS:g}",
        bootstrapped(by_seed, correlation), above=LEAST_CORRELATION,
    )  # fmt: skip
    near = check_row(
        "C20", f"{where}: the linearised loss is off by less than {LARGEST_ERROR:g} % of the increase",
        bootstrapped(by_seed, relative_error), below=LARGEST_ERROR,
    )  # fmt: skip
    return [{**tracks, **shared, "quantity": "correlation"}, {**near, **shared, "quantity": "relative error"}]


def bootstrapped(by_seed: list[Values], measure: Callable[[Values], float]) -> Difference:
    """A measure over all lines, with its bootstrap interval over lines."""
    values = np.concatenate(by_seed)
    draws = np.random.default_rng(0).integers(0, len(values), size=(DRAWS, len(values)))
    low, high = np.percentile([measure(values[draw]) for draw in draws], [2.5, 97.5])
    return Difference(
        measure(values), float(low), float(high), [measure(values_of_seed) for values_of_seed in by_seed]
    )


# ---- all of them ----


def check_all(results: Path = RESULTS, files: Path = EXPERIMENTS) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Experiment -> checks and differences to `normal`; experiments without runs are left out."""
    results_by_experiment: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for experiment in embedding_experiments(results, files):
        if experiment.methods:
            results_by_experiment[experiment.name] = {
                "claims": c17(experiment),
                "against_normal": against_normal(experiment),
            }
    for path in sorted(files.glob("embedding_*sweep.json")):
        points = read_sweep(path, results / path.stem)
        if points:
            rows = [*c16(points), *c18(points)]
            results_by_experiment[path.stem] = {"claims": counted_once(results / path.stem, rows)}
    file = files / f"{LINEARISATION}.json"
    linear = c20(Experiment(file, results / LINEARISATION)) if file.is_file() else []
    if linear:
        results_by_experiment[LINEARISATION] = {"claims": linear}
    for file in sorted(results.glob("cost_*.json")):
        rows = c19(file)
        if rows:
            results_by_experiment[file.stem] = {"claims": rows}
    return decide_claims(results_by_experiment)


def main(results: Path = RESULTS, files: Path = EXPERIMENTS) -> None:
    text = json.dumps(check_all(results, files), indent=1) + "\n"
    (results / FILE).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
