"""Does SMART's adversary raise its term, or do two draws of dropout? Asked of a model that has begun to learn.

    python benchmarks/smart_radius.py --data DIR [--seeds 1 2 3]

BERT-tiny is trained plainly on SST-2 and then left as it is; each setting of `smart` meets it on the same batches.
"random signs" are a perturbation of the default's size that nobody searched for, the control. Intervals are 95 %
bootstrap intervals over the batches of all seeds. Writes ``benchmarks/results/smart_radius.json``. A minute on one
core; nothing is attacked, so that it says what is trained on and not how robust that makes a model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

# As a script this file's own folder is on the path, not the checkout.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import over_seeds
from benchmarks.adaptive_masks import BATCH, MEASURED, Values, batches, begun, losses
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
    flags = over_seeds.parser(__doc__, "sst2/train.jsonl.gz").parse_args()
    seen = [measure(flags.data, seed) for seed in flags.seeds]
    joined = {name: np.concatenate([one[name] for one in seen]) for name in seen[0]}
    result = {
        "model": "bert_tiny", "data": "sst2", "seeds": flags.seeds, "trained_steps": TRAINED, "batch_size": BATCH,
        "batches_a_seed": MEASURED, "settings": SETTINGS,
        "term": {name: interval(values) for name, values in joined.items()},
    }  # fmt: skip
    over_seeds.write("smart_radius", result, "term")


def measure(data: Path, seed: int) -> dict[str, Values]:
    """(batches,) the smoothness term at lambda 1 of each setting, and of random signs."""
    with begun(data, seed, TRAINED) as smart:
        found = {
            setting: losses(smart("smart", **options), "loss_smoothness") for setting, options in SETTINGS.items()
        }
        found["random signs"] = random_signs(smart("smart"))
    return found


def random_signs(smart: Any) -> Values:
    """(batches,) the term at entries of plus or minus the radius, drawn."""
    found = []
    for number, batch in enumerate(batches(smart)):
        width = smart.model.get_input_embeddings().embedding_dim
        mask = batch["attention_mask"].unsqueeze(-1)
        set_seed(number)
        signs = torch.randn(*batch["input_ids"].shape, width).sign() * smart.args.adv_max_norm * mask
        replay, logits = smart.embedding_space.replay(batch), []
        for point in (None, Shift(signs, mask)):
            with torch.no_grad(), replay.again(), smart.loss_increase.paused():
                logits.append(smart.task_loss(smart.model, batch, at=point)[1]["logits"])
        found.append(float(symmetric_kl(*logits)))
    return np.array(found)


def interval(values: Values) -> dict[str, float]:
    """The mean with its bootstrap interval over rows."""
    draws = np.random.default_rng(0).integers(0, len(values), size=(DRAWS, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    found = {"value": values.mean(), "low": low, "high": high}
    return {name: float(f"{value:.3g}") for name, value in found.items()}


if __name__ == "__main__":
    main()
