"""What raises SMART's smoothness term: its adversary, or two draws of dropout?

    python -m benchmarks.experiments.smart_radius --data DIR [--seeds 1 2 3]

BERT-tiny is trained on SST-2 with the plain loss and is not changed after that. The term of each setting of `smart` is
measured on the same batches. The control is "random signs": a random perturbation of the default size. Intervals are
95 % bootstrap intervals over the batches of all seeds. No model is attacked: the result says what `smart` trains on,
not how robust it becomes. Writes ``benchmarks/results/smart_radius.json``. Takes a minute on one core.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from benchmarks.experiments.small_model import (
    BATCH,
    HELD_BATCHES,
    Values,
    flags_parser,
    held_batches,
    losses_by_batch,
    trained_model,
    write_result,
)
from hf_robust.adversary import Shift
from hf_robust.losses import symmetric_kl
from hf_robust.metrics.paired import DRAWS

TRAINED = 200
PAPERS: dict[str, Any] = {"adv_lr": 1e-3, "adv_max_norm": 1e-5}
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "the paper's radius": PAPERS,
    "the paper's radius, dropout of each pass its own": {**PAPERS, "same_dropout": False},
    "no perturbation, dropout of each pass its own": {"adv_max_norm": 1e-12, "same_dropout": False},
    "default radius, dropout of each pass its own": {"same_dropout": False},
    "--follow code": {"follow": "code"},
}


def main() -> None:
    flags = flags_parser(__doc__, "sst2/train.jsonl.gz").parse_args()
    results = [measure(flags.data, seed) for seed in flags.seeds]
    joined = {name: np.concatenate([result_of_seed[name] for result_of_seed in results]) for name in results[0]}
    result = {
        "model": "bert_tiny", "data": "sst2", "seeds": flags.seeds, "trained_steps": TRAINED, "batch_size": BATCH,
        "batches_a_seed": HELD_BATCHES, "settings": SETTINGS,
        "term": {name: interval(values) for name, values in joined.items()},
    }  # fmt: skip
    write_result("smart_radius", result, "term")


def measure(data: Path, seed: int) -> dict[str, Values]:
    """Setting -> (batches,) smoothness term at lambda 1; also of random signs."""
    with trained_model(data, seed, TRAINED) as smart:
        terms = {
            setting: losses_by_batch(smart("smart", **options), "loss_smoothness")
            for setting, options in SETTINGS.items()
        }
        terms["random signs"] = random_signs(smart("smart"))
    return terms


def random_signs(smart: Any) -> Values:
    """(batches,) term at a perturbation whose entries are plus or minus the radius at random."""
    terms = []
    for number, batch in enumerate(held_batches(smart)):
        width = smart.model.get_input_embeddings().embedding_dim
        mask = batch["attention_mask"].unsqueeze(-1)
        set_seed(number)
        signs = torch.randn(*batch["input_ids"].shape, width).sign() * smart.args.adv_max_norm * mask
        replay, logits = smart.embedding_space.replay(batch), []
        for point in (None, Shift(signs, mask)):
            with torch.no_grad(), replay.again(), smart.loss_increase.paused():
                logits.append(smart.task_loss(smart.model, batch, at=point)[1]["logits"])
        terms.append(float(symmetric_kl(*logits)))
    return np.array(terms)


def interval(values: Values) -> dict[str, float]:
    """Mean with its bootstrap interval over rows."""
    draws = np.random.default_rng(0).integers(0, len(values), size=(DRAWS, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    numbers = {"value": values.mean(), "low": low, "high": high}
    return {name: float(f"{value:.3g}") for name, value in numbers.items()}


if __name__ == "__main__":
    main()
