"""C2, C5 and C7 of BAT: what batch size, and weights and margin of the pairwise loss, do (Figures 4 and 8 to 12)."""

from __future__ import annotations

import numpy as np

from benchmarks.checks import ACCURACY
from benchmarks.paired import runs_by_seed, statuses_of
from benchmarks.text_runs import Compared, TextExperiment, compared, compared_asr
from benchmarks.text_verdicts import NORMAL, Row, claim
from hf_robust.metrics import Difference, paired_difference
from hf_robust.metrics.paired import Outcomes, rates

SMALL, LARGE = "batch8", "batch32"
UNCHANGED = 5.0
"""Points of an ASR that count as insensitive: Table 4's single runs differ by up to 3.5."""
ACCURACY_UNCHANGED = 1.6
PAIRWISE = "bat_pairwise"
MARGINS = ("0.3", "0.5", "0.7")


def c2(one: TextExperiment) -> list[Row]:
    """C2: with a smaller batch safer's synonym ASR falls further below normal's, its antonym ASR rises further."""
    rows = []
    for attack, text, side in (
        ("synonym", "safer minus normal, synonym ASR: lower at batch 8 than at 32", {"below": 0.0}),
        ("antonym", "safer minus normal, antonym ASR: higher at batch 8 than at 32", {"above": 0.0}),
    ):
        models = tuple(f"{method}-{batch}" for batch in (SMALL, LARGE) for method in (NORMAL, "safer"))
        found = difference_of_differences(one, models, attack)
        given = {"method": "safer", "quantity": attack, "control": f"{NORMAL} at both batches", **side}
        rows += claim(one, "C2", text, found, models, **given)
    return rows


def c5(one: TextExperiment) -> list[Row]:
    """C5: bat_triplet is insensitive to the batch size."""
    models = (f"bat_triplet-{LARGE}", f"bat_triplet-{SMALL}")
    rows = []
    for quantity, limit in (("synonym", UNCHANGED), ("antonym", UNCHANGED), (ACCURACY, ACCURACY_UNCHANGED)):
        found = (compared if quantity == ACCURACY else compared_asr)(one, *models, quantity)
        name = "accuracy" if quantity == ACCURACY else f"{quantity} ASR"
        text = f"bat_triplet at batch 8 minus 32: {name} within {limit:g}"
        rows += claim(
            one, "C5", text, found, models, method="bat_triplet", quantity=quantity, above=-limit, below=limit
        )
    return rows


def c7(one: TextExperiment) -> list[Row]:
    """C7: a larger alpha raises antonym ASR, a larger beta synonym ASR; a margin near 1 has the lowest antonym ASR."""
    rows = []
    for first, second, attack, text, side in (
        ("alpha0.5", "alpha2.0", "antonym", "alpha 2 minus alpha 0.5: antonym ASR rises", {"above": 0.0}),
        ("beta0.6", "beta2.4", "synonym", "beta 2.4 minus beta 0.6: synonym ASR rises", {"above": 0.0}),
    ):
        models = (f"{PAIRWISE}-{first}", f"{PAIRWISE}-{second}")
        found = compared_asr(one, *models, attack)
        rows += claim(one, "C7", text, found, models, method=PAIRWISE, quantity=attack, **side)
    for margin in MARGINS:
        models = (f"{PAIRWISE}-margin{margin}", PAIRWISE)
        found = compared_asr(one, *models, "antonym")
        text = f"margin 1 minus margin {margin}: antonym ASR falls"
        rows += claim(one, "C7", text, found, models, method=PAIRWISE, quantity="antonym", below=0.0)
    return rows


def difference_of_differences(one: TextExperiment, models: tuple[str, ...], attack: str) -> Compared | None:
    """(b - a) - (d - c) of the ASRs of four settings a, b, c, d on the same seeds and examples; None without them."""
    runs = [runs_by_seed(one.folder, name) for name in models]
    seeds = sorted(set.intersection(*map(set, runs)))
    seen = [[statuses_of(found[seed], attack) for seed in seeds] for found in runs]
    if not seeds or len({tuple(row) for side in seen for row in side}) != 1:
        return None
    a, b, c, d = (np.array([list(row.values()) for row in side]) for side in seen)
    found: Difference = paired_difference(np.stack([a, d], axis=-1), np.stack([b, c], axis=-1), summed_rates)
    return Compared(found, a.shape[1], tuple(seeds))


def summed_rates(seen: Outcomes) -> Outcomes:
    """(...,) sum over the last axis of the rates of (..., examples, settings)."""
    summed: Outcomes = rates(np.moveaxis(seen, -1, 0)).sum(axis=0)
    return summed
