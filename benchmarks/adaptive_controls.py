"""Is the gain of an adaptive method its weights'? `adaptive_freelb` against its controls, trained alike and attacked.

    python benchmarks/adaptive_controls.py --data DIR [--seeds 1 2 3] [--jobs 1]

The block of `examples/sweeps/adaptive_controls.json` for FreeLB, in small: BERT-tiny is trained plainly on SST-2, and
each setting trains a copy of it further, on the same batches, with the same steps of the ascent. The settings are
FreeLB over its own points 0..k-1, over the points 1..k that the adaptive form climbs (k + 1 passes, as that has), the
adaptive form with frozen weights, as it is by default, and with weights that learn a thousand times as fast. Each is
then attacked by deepwordbug. The step size is a quarter of the preset's: at 0.04 all but FreeLB's own points, of which
one is the clean text, end at one answer for all. Differences are paired over the attacked texts, seeds averaged, with
95 % bootstrap intervals; they do not cover the spread between seeds. Writes
``benchmarks/results/adaptive_controls.json``. Needs ``NLTK_DATA`` with the stop words. Some 10 minutes on one core.
"""

from __future__ import annotations

import copy
import multiprocessing
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

# As a script this file's own folder is on the path, not the checkout.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import over_seeds
from benchmarks.adaptive_masks import BATCH, begun
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
"""Control and what is held against it."""


def main() -> None:
    parser = over_seeds.parser(__doc__, "sst2/train.jsonl.gz and test.jsonl.gz")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time")
    flags = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(flags.jobs) as pool:
        seen = pool.map(partial(measure, flags.data), flags.seeds)
    result = {
        "model": "bert_tiny", "data": "sst2", "seeds": flags.seeds, "trained_steps": TRAINED, "steps": STEPS,
        "batch_size": BATCH, **CLIMB, "attack": ATTACK, "evaluated": EVALUATED, "attacked": ATTACKED,
        "settings": {name: options for name, (_, options) in SETTINGS.items()},
        "measured": {name: summary([one[name] for one in seen]) for name in SETTINGS},
        "differences": differences(seen),
    }  # fmt: skip
    over_seeds.write("adaptive_controls", result, "measured", "differences")


def measure(data: Path, seed: int) -> dict[str, dict[str, Any]]:
    """By setting: accuracy on the test rows, outcomes of the attacked ones, and what was logged of the adversary."""
    torch.set_num_threads(1)
    found = {}
    with begun(data, seed, TRAINED, behind=STEPS) as again:
        start = again("normal").model
        for name, (method, options) in SETTINGS.items():
            set_seed(seed)
            run = again(method, model=copy.deepcopy(start), logging_steps=10, **CLIMB, **options)
            run.train()
            found[name] = {**logged(run), **attacked(run, data)}
    return found


def logged(run: Any) -> dict[str, float]:
    """The mean loss increase, and of learnt weights the most that they moved the point and how much they could."""
    entries = run.state.log_history
    found = {"loss_increase": run.loss_increase.run_mean()["loss_increase"]}
    for name, of in (("point_moved", max), ("increment_alignment", statistics.fmean)):
        given = [entry[name] for entry in entries if name in entry]
        found |= {name: of(given)} if given else {}
    return found


def attacked(run: Any, data: Path) -> dict[str, Any]:
    """Accuracy on the first rows of the test set, and the attack's outcome on some of them."""
    tokenizer = run.processing_class
    rows = TextDataset(
        read_rows(data / "sst2" / "test.jsonl.gz")[:EVALUATED], ("sentence",), tokenizer, max_length=LENGTH
    )
    victim = Victim(run.model, tokenizer, max_length=LENGTH)
    predictions = run.predict(rows).predictions.argmax(-1)
    right = [prediction == rows.label(row) for row, prediction in enumerate(predictions)]
    attack = ATTACKS[ATTACK](Resources(stop_words=nltk_stop_words()))
    records = attack_dataset(attack, victim, choose_examples(rows, ATTACKED, 0), progress=False)
    return {"accuracy": float(np.mean(right)), "outcomes": [OUTCOMES[one.status] for one in records]}


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, and each seed's value: in points, but for the loss increase."""
    values = {
        "clean_accuracy": [POINTS * one["accuracy"] for one in seeds],
        "robust_accuracy": [POINTS * float(robust(np.array(one["outcomes"]))) for one in seeds],
        "loss_increase": [one["loss_increase"] for one in seeds],
        "point_moved": [POINTS * one["point_moved"] for one in seeds if "point_moved" in one],
        "increment_alignment": [one["increment_alignment"] for one in seeds if "increment_alignment" in one],
    }
    return {
        name: {"mean": round(statistics.fmean(given), 4), "by_seed": [round(one, 4) for one in given]}
        for name, given in values.items()
        if given
    }


def differences(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In robust accuracy, points."""
    rows = []
    for control, name in COMPARED:
        outcomes = [np.array([one[which]["outcomes"] for one in seen]) for which in (control, name)]
        found = paired_difference(*outcomes, robust)
        numbers = {key: round(getattr(found, key), 2) for key in ("value", "low", "high")}
        rows.append({"control": control, "setting": name, **numbers, "by_seed": [round(v, 2) for v in found.by_seed]})
    return rows


if __name__ == "__main__":
    main()
