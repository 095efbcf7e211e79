"""How sharing one dropout mask and taking gradients as increments change the adaptive methods.

    python -m benchmarks.experiments.adaptive_masks --data DIR [--seeds 1 2 3]

BERT-tiny is trained on SST-2 for a few plain steps with dropout and is not changed after that. The adversaries of all
methods perturb the same batches. Intervals are 95 % bootstrap intervals over the batches of all seeds. No model is
attacked: the result says what the methods train on, not how robust they become. Writes
``benchmarks/results/adaptive_masks.json``. Takes minutes on one core.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

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
from hf_robust.metrics.paired import DRAWS

TRAINED = 60
CLIMB: dict[str, Any] = {"adv_steps": 5, "adv_lr": 0.04}
FREELB: dict[str, Any] = {**CLIMB, "include_initial": False}
AS_FREELB: dict[str, Any] = {**CLIMB, "adaptive_init": "method"}
LINEAR: dict[str, Any] = {**CLIMB, "log_linearisation_error": True}


def main() -> None:
    flags = flags_parser(__doc__, "sst2/train.jsonl.gz").parse_args()
    results = [measure(flags.data, seed) for seed in flags.seeds]
    joined = {name: np.concatenate([result_of_seed[name] for result_of_seed in results]) for name in results[0]}
    result = {
        "model": "bert_tiny", "data": "sst2", "seeds": flags.seeds, "trained_steps": TRAINED, "batch_size": BATCH,
        "batches_a_seed": HELD_BATCHES, **CLIMB,
        "measured": {name: summary(values) for name, values in joined.items()},
    }  # fmt: skip
    write_result("adaptive_masks", result, "measured")


def measure(data: Path, seed: int) -> dict[str, Values]:
    """Quantity -> (batches, 2): the measured value, and the value that it is divided by."""
    with trained_model(data, seed, TRAINED) as build:
        freelb = losses_by_batch(build("freelb", **FREELB), "loss_increase")
        quantities = {}
        for masks, same in (("one mask", True), ("a mask for each pass", False)):
            point = losses_by_batch(build("adaptive_freelb", same_dropout=same, **AS_FREELB), "loss_increase")
            quantities[f"increase of adaptive_freelb, {masks}, of freelb's"] = np.stack([point, freelb], 1)
            pgd = build("adaptive_pgd", same_dropout=same, **LINEAR)
            error = losses_by_batch(pgd, "linearisation_error", "loss_increase")
            quantities[f"linearisation error of adaptive_pgd, {masks}, of the increase"] = error
        for norm in ("sample", "magnitude"):
            quantities |= {f"{key}, {norm}": values for key, values in tavat(build("adaptive_tavat", tavat_norm=norm))}
    return quantities


def tavat(method: Any) -> list[tuple[str, Values]]:
    """Norm of the ascent's start, and the cosine of increments with their gradient, for both kinds of increments."""
    starts, points, gains = [], [], []
    for batch in held_batches(method):
        start = method.first_point(batch)
        starts.append(start.offset.flatten(1).norm(dim=1).mean().item())
        steps = list(method.embedding_space.climb(batch, partial(method.sample_losses, labels=batch["labels"]), start))
        for values, increment in (
            (points, lambda step: step.after.offset - step.before.detached().offset),
            (gains, method._increment),
        ):
            cosines = [
                torch.cosine_similarity(increment(step).flatten(1), step.gradients[0].flatten(1)) for step in steps
            ]
            values.append(torch.stack(cosines).mean().item())
    named = {"norm of the start": starts, "cosine of differences of points": points, "cosine of increments": gains}
    return [(name, np.stack([values, np.ones(len(values))], 1)) for name, values in named.items()]


def summary(values: Values) -> dict[str, Any]:
    """Ratio of the means of both columns, with its bootstrap interval over rows."""
    draws = np.random.default_rng(0).integers(0, len(values), size=(DRAWS, len(values)))
    means = values[draws].mean(1)
    low, high = np.percentile(means[:, 0] / means[:, 1], [2.5, 97.5])
    value = values[:, 0].mean() / values[:, 1].mean()
    return {"value": round(float(value), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


if __name__ == "__main__":
    main()
