"""Claims C1, C2 and C4 to C7 of the BAT paper on the committed results.

    python -m benchmarks.study.bat_claims          writes benchmarks/results/bat_claims.json

Intervals of differences are those of `benchmarks.study.paired`, verdicts and rows those of `benchmarks.study.checks`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import paper_numbers as paper
from benchmarks.study.checks import ACCURACY, NORMAL, Row, claim, counted_once
from benchmarks.study.decide import decide
from benchmarks.study.distances import CONTENT, FUNCTION
from benchmarks.study.experiment import Comparison, TextExperiment, compare, compare_asr, seed_of
from benchmarks.study.paired import read, runs_by_seed, runs_of, statuses_of
from benchmarks.study.paper_runs import spec_of
from benchmarks.study.power import linear_parts, variance_of
from benchmarks.study.stored import EXPERIMENTS, RESULTS
from benchmarks.study.voids import NOT_SPLIT
from hf_robust.metrics import Difference, paired_difference, wilson_interval
from hf_robust.metrics.paired import POINTS, Outcomes, rates

METHODS = ("normal", "safer", "bat_pairwise", "bat_triplet")
FILE = "bat_claims.json"
SWEEP = "bat_snli_sweep"
ACCURACY_LOSS = 1.6
SMALL, LARGE = "batch8", "batch32"
UNCHANGED = 5.0
"""Points of ASR that count as insensitive; single runs in Table 4 differ by up to 3.5."""
ACCURACY_UNCHANGED = 1.6
PAIRWISE = "bat_pairwise"
MARGINS = ("0.3", "0.5", "0.7")


# ---- methods: C1, C4 and C6 ----


def checks_of(experiment: TextExperiment) -> list[Row]:
    """All checks of the methods that were run in one experiment."""
    run = [name for name in METHODS if runs_of(experiment.folder, name)]
    rows = sorted((row for name in run for row in claims_about(experiment, name)), key=lambda row: row["claim"])
    return counted_once(experiment.folder, rows)


def claims_about(experiment: TextExperiment, method: str) -> list[Row]:
    """Checks of what the paper claims about one method."""
    if method == NORMAL:
        return c6(experiment, method)
    number, models = ("C1" if method == "safer" else "C4"), (NORMAL, method)
    rows = []
    for attack in ("synonym", "antonym"):
        rises = method == "safer" and attack == "antonym"
        text = f"{method} {'raises' if rises else 'lowers'} {attack} ASR"
        side = {"above": 0.0} if rises else {"below": 0.0}
        fields = {"method": method, "quantity": attack, "paper": paper_difference(experiment, *models, attack), **side}
        rows += claim(experiment, number, text, compare_asr(experiment, *models, attack), models, **fields)
    if method != "safer":
        pair = ("safer", method)
        text = f"{method}'s synonym ASR stays above safer's"
        fields = {"method": method, "quantity": "synonym", "paper": paper_difference(experiment, *pair, "synonym")}
        rows += claim(experiment, number, text, compare_asr(experiment, *pair, "synonym"), pair, **fields, above=0.0)
    # For BAT this follows from the paper's tables, not from its text.
    text = f"{method} keeps accuracy within {ACCURACY_LOSS}"
    fields = {"method": method, "quantity": ACCURACY, "paper": paper_difference(experiment, *models, ACCURACY)}
    rows += claim(
        experiment, number, text, compare(experiment, *models, ACCURACY), models, **fields, above=-ACCURACY_LOSS
    )
    return rows + c6(experiment, method)


def paper_difference(experiment: TextExperiment, first: str, second: str, quantity: str) -> float | None:
    """Second minus first in the paper's table of this data set; None if there is no such table."""
    table = paper.BAT.get(experiment.name.split("_")[0])
    return None if table is None else round(table[second][quantity] - table[first][quantity], 1)


def c6(experiment: TextExperiment, method: str) -> list[Row]:
    """C6: after BAT, and only then, the obstinate view of most texts is further away than the fickle view.

    Texts whose obstinate view changes a content word are counted separately: BAT's training views also change function
    words, which the attack never does, and a model can learn to recognise these alone. Runs measured without this
    separation are void.
    """
    runs = [run for run in runs_of(experiment.folder, method) if (run / "distances.json").is_file()]
    if not runs:
        return []
    measured = [read(run / "distances.json") for run in runs]
    split = all(CONTENT in row for row in measured)
    bat = method.startswith("bat")
    rows = []
    for kind in (CONTENT, FUNCTION) if split else ("",):
        distances = [row[kind] if kind else row for row in measured]
        if any(not row["texts"] for row in distances):
            continue
        share = share_further(distances, runs)
        where = f"{kind}-word " if kind else ""
        most = "most" if bat else "less than half of the"
        text = f"{method}: {where}antonym view further than synonym view in {most} texts"
        means = {key: statistics.mean(row[key] for row in distances) for key in ("fickle", "obstinate")}
        # Without the separation a check stands in the place of content words, which is what the attack changes.
        fields = {"method": method, "quantity": "distance", "part": f"{kind or CONTENT}-word {most}", **means}
        fields |= {"control": "half of the texts", "void": "" if split else NOT_SPLIT}
        side = {"above": 50.0} if bat else {"below": 50.0}
        rows += claim(experiment, "C6", text, share, (method,), **fields, **side)
    return rows


def share_further(measured: Sequence[dict[str, Any]], runs: Sequence[Path]) -> Comparison:
    """Mean share of texts over the seeds, with Wilson's interval for the number of texts of one seed."""
    shares = [row["obstinate_further"] for row in measured]
    texts = min(row["texts"] for row in measured)
    low, high = wilson_interval(round(statistics.mean(shares) * texts), texts)
    difference = Difference(
        POINTS * statistics.mean(shares), POINTS * low, POINTS * high, [POINTS * s for s in shares]
    )
    return Comparison(difference, texts, tuple(map(seed_of, runs)), "%")


# ---- the sweep: C2, C5 and C7 (Figures 4 and 8 to 12) ----


def c2(experiment: TextExperiment) -> list[Row]:
    """C2: with a smaller batch safer's synonym ASR is further below normal's, and its antonym ASR further above."""
    rows = []
    for attack, text, side in (
        ("synonym", "safer minus normal, synonym ASR: lower at batch 8 than at 32", {"below": 0.0}),
        ("antonym", "safer minus normal, antonym ASR: higher at batch 8 than at 32", {"above": 0.0}),
    ):
        models = tuple(f"{method}-{batch}" for batch in (SMALL, LARGE) for method in (NORMAL, "safer"))
        comparison = difference_of_differences(experiment, models, attack)
        fields = {"method": "safer", "quantity": attack, "control": f"{NORMAL} at both batches", **side}
        rows += claim(experiment, "C2", text, comparison, models, **fields)
    return rows


def c5(experiment: TextExperiment) -> list[Row]:
    """C5: bat_triplet is insensitive to the batch size."""
    models = (f"bat_triplet-{LARGE}", f"bat_triplet-{SMALL}")
    rows = []
    for quantity, limit in (("synonym", UNCHANGED), ("antonym", UNCHANGED), (ACCURACY, ACCURACY_UNCHANGED)):
        comparison = (compare if quantity == ACCURACY else compare_asr)(experiment, *models, quantity)
        name = "accuracy" if quantity == ACCURACY else f"{quantity} ASR"
        text = f"bat_triplet at batch 8 minus 32: {name} within {limit:g}"
        rows += claim(
            experiment,
            "C5",
            text,
            comparison,
            models,
            method="bat_triplet",
            quantity=quantity,
            printed=round(paper.BAT_4[SMALL][quantity] - paper.BAT_4[LARGE][quantity], 1),
            above=-limit,
            below=limit,
        )
    return rows


def c7(experiment: TextExperiment) -> list[Row]:
    """C7: a larger alpha raises antonym ASR, a larger beta synonym ASR; a margin near 1 has the lowest antonym ASR."""
    rows = []
    for first, second, attack, text, side in (
        ("alpha0.5", "alpha2.0", "antonym", "alpha 2 minus alpha 0.5: antonym ASR rises", {"above": 0.0}),
        ("beta0.6", "beta2.4", "synonym", "beta 2.4 minus beta 0.6: synonym ASR rises", {"above": 0.0}),
    ):
        models = (f"{PAIRWISE}-{first}", f"{PAIRWISE}-{second}")
        comparison = compare_asr(experiment, *models, attack)
        rows += claim(experiment, "C7", text, comparison, models, method=PAIRWISE, quantity=attack, **side)
    for margin in MARGINS:
        models = (f"{PAIRWISE}-margin{margin}", PAIRWISE)
        comparison = compare_asr(experiment, *models, "antonym")
        text = f"margin 1 minus margin {margin}: antonym ASR falls"
        rows += claim(experiment, "C7", text, comparison, models, method=PAIRWISE, quantity="antonym", below=0.0)
    return rows


def difference_of_differences(experiment: TextExperiment, models: tuple[str, ...], attack: str) -> Comparison | None:
    """(b - a) - (d - c) in ASR of settings a, b, c, d on the same seeds and examples; None if these are missing."""
    runs = [runs_by_seed(experiment.folder, name) for name in models]
    seeds = sorted(set.intersection(*map(set, runs)))
    outcomes = [[statuses_of(by_seed[seed], attack) for seed in seeds] for by_seed in runs]
    if not seeds or len({tuple(row) for side in outcomes for row in side}) != 1:
        return None
    a, b, c, d = (np.array([list(row.values()) for row in side]) for side in outcomes)
    parts_a, parts_b, parts_c, parts_d = map(linear_parts, (a, b, c, d))
    variance = variance_of(parts_b - parts_a - parts_d + parts_c)
    difference: Difference = paired_difference(np.stack([a, d], axis=-1), np.stack([b, c], axis=-1), summed_rates)
    return Comparison(difference, a.shape[1], tuple(seeds), variance=variance)


def summed_rates(outcomes: Outcomes, times: Outcomes | None = None) -> Outcomes:
    """(...,) rates summed over settings, from outcomes (..., examples, settings)."""
    summed: Outcomes = rates(np.moveaxis(outcomes, -1, 0), times).sum(axis=0)
    return summed


# ---- all of them ----


def check_all(results: Path = RESULTS, files: Path = EXPERIMENTS) -> dict[str, list[Row]]:
    """Experiment -> checks, for the experiments that compare methods and for the sweep; ablations have none."""
    checks = {}
    for path in sorted(files.glob("*.json")):
        if set(METHODS) <= set(spec_of(path).get("methods", ())) and runs_of(results / path.stem, NORMAL):
            checks[path.stem] = checks_of(TextExperiment(path, results / path.stem))
    sweep = TextExperiment(files / f"{SWEEP}.json", results / SWEEP)
    rows = counted_once(sweep.folder, [*c2(sweep), *c5(sweep), *c7(sweep)])
    return decide({**checks, **({SWEEP: rows} if rows else {})})


def main(results: Path = RESULTS, files: Path = EXPERIMENTS) -> None:
    (results / FILE).write_text(json.dumps(check_all(results, files), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
