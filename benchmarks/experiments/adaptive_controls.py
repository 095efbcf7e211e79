"""Do the learnt weights make `adaptive_freelb` more robust? It against its controls, trained alike and attacked.

    python -m benchmarks.experiments.adaptive_controls --data DIR [--seeds 1 2 3] [--jobs 1]

A small version of the FreeLB block of `examples/sweeps/adaptive_controls.json`. BERT-tiny is trained on SST-2 with the
plain loss; each setting then trains a copy of it further, on the same batches, with the same ascent steps. The
settings: FreeLB on its own points 0..k-1; FreeLB on the points 1..k of the adaptive method (k + 1 passes, as in that
method); the adaptive method with frozen weights; with its defaults; and with a weight learning rate that is a thousand
times larger. Each model is then attacked by deepwordbug. The step size is a quarter of the preset's: at 0.04 every
setting but FreeLB on its own points, one of which is the clean text, ends with one answer for all texts. Differences
are paired over the attacked texts and averaged over seeds, with 95 % bootstrap intervals that do not cover the spread
between seeds. Writes ``benchmarks/results/adaptive_controls.json``. Needs ``NLTK_DATA`` with the stop words. Takes
about 10 minutes on one core.
"""

from __future__ import annotations

import copy
import multiprocessing
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from benchmarks.experiments.small_model import BATCH, flags_parser, trained_model, write_result
from hf_robust.attacks import ATTACKS, Resources, Victim, attack_dataset, choose_examples
from hf_robust.data import TextDataset
from hf_robust.data.files import read_rows
from hf_robust.metrics.paired import OUTCOMES, POINTS, paired_difference, robust
from hf_robust.words import nltk_stop_words

TRAINED, STEPS, EVALUATED, ATTACKED, LENGTH = 160, 50, 1000, 100, 64
ATTACK = "deepwordbug"
CLIMB: dict[str, Any] = {"adv_steps": 3, "adv_lr": 0.01}
FROZEN, FAST, OWN, SAME = "frozen weights", "w_lr 10", "freelb", "freelb, points 1..k"
DEFAULT = "adaptive_freelb"
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    OWN: ("freelb", {}),
    SAME: ("freelb", {"include_initial": False}),
    FROZEN: ("adaptive_freelb", {"w_lr": 0.0}),
    DEFAULT: ("adaptive_freelb", {}),
    FAST: ("adaptive_freelb", {"w_lr": 10.0}),
}
COMPARED = ((OWN, DEFAULT), (SAME, DEFAULT), (FROZEN, DEFAULT), (OWN, FROZEN), (FROZEN, FAST))
"""Pairs of a control and the setting that is compared with it."""


def main() -> None:
    parser = flags_parser(__doc__, "sst2/train.jsonl.gz and test.jsonl.gz")
    parser.add_argument("--jobs", type=int, default=1, help="number of seeds measured at a time")
    flags = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(flags.jobs) as pool:
        results = pool.map(partial(measure, flags.data), flags.seeds)
    result = {
        "model": "bert_tiny", "data": "sst2", "seeds": flags.seeds, "trained_steps": TRAINED, "steps": STEPS,
        "batch_size": BATCH, **CLIMB, "attack": ATTACK, "evaluated": EVALUATED, "attacked": ATTACKED,
        "settings": {name: options for name, (_, options) in SETTINGS.items()},
        "measured": {name: summary([result_of_seed[name] for result_of_seed in results]) for name in SETTINGS},
        "differences": differences(results),
    }  # fmt: skip
    write_result("adaptive_controls", result, "measured", "differences")


def measure(data: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Setting -> accuracy on the test rows, outcomes of the attacked rows, and logged numbers of the adversary."""
    torch.set_num_threads(1)
    by_setting = {}
    with trained_model(data, seed, TRAINED, held=STEPS) as build:
        start = build("normal").model
        for name, (method, options) in SETTINGS.items():
            set_seed(seed)
            run = build(method, model=copy.deepcopy(start), logging_steps=10, **CLIMB, **options)
            run.train()
            by_setting[name] = {**logged(run), **attacked(run, data)}
    return by_setting


def logged(run: Any) -> dict[str, float]:
    """Mean loss increase; for learnt weights also how far they moved the point at most, and how far they could."""
    entries = run.state.log_history
    values = {"loss_increase": run.loss_increase.run_mean()["loss_increase"]}
    for name, of in (("point_moved", max), ("increment_alignment", statistics.fmean)):
        logged_values = [entry[name] for entry in entries if name in entry]
        values |= {name: of(logged_values)} if logged_values else {}
    return values


def attacked(run: Any, data: Path) -> dict[str, Any]:
    """Accuracy on the first rows of the test set, and the outcomes of the attack on some of them."""
    tokenizer = run.processing_class
    rows = TextDataset(
        read_rows(data / "sst2" / "test.jsonl.gz")[:EVALUATED], ("sentence",), tokenizer, max_length=LENGTH
    )
    victim = Victim(run.model, tokenizer, max_length=LENGTH)
    predictions = run.predict(rows).predictions.argmax(-1)
    correct = [prediction == rows.label(row) for row, prediction in enumerate(predictions)]
    attack = ATTACKS[ATTACK](Resources(stop_words=nltk_stop_words()))
    records = attack_dataset(attack, victim, choose_examples(rows, ATTACKED, 0), progress=False)
    return {"accuracy": float(np.mean(correct)), "outcomes": [OUTCOMES[record.status] for record in records]}


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean over the seeds and the value of each seed, in points except for the loss increase."""
    values = {
        "clean_accuracy": [POINTS * result["accuracy"] for result in seeds],
        "robust_accuracy": [POINTS * float(robust(np.array(result["outcomes"]))) for result in seeds],
        "loss_increase": [result["loss_increase"] for result in seeds],
        "point_moved": [POINTS * result["point_moved"] for result in seeds if "point_moved" in result],
        "increment_alignment": [result["increment_alignment"] for result in seeds if "increment_alignment" in result],
    }
    return {
        name: {"mean": round(statistics.fmean(of_seeds), 4), "by_seed": [round(result, 4) for result in of_seeds]}
        for name, of_seeds in values.items()
        if of_seeds
    }


def differences(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Differences in robust accuracy, in points."""
    rows = []
    for control, name in COMPARED:
        outcomes = [np.array([result[which]["outcomes"] for result in results]) for which in (control, name)]
        difference = paired_difference(*outcomes, robust)
        numbers = {key: round(getattr(difference, key), 2) for key in ("value", "low", "high")}
        rows.append(
            {"control": control, "setting": name, **numbers, "by_seed": [round(v, 2) for v in difference.by_seed]}
        )
    return rows


if __name__ == "__main__":
    main()
