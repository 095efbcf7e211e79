"""What one dropout mask and gradient increments change in the adaptive methods, on a model that has begun to learn.

    python benchmarks/adaptive_masks.py --data DIR [--seeds 1 2 3]

BERT-tiny is trained plainly for a few steps on SST-2, with its dropout, and is then left as it is; the methods'
adversaries meet it on the same batches. Intervals are 95 % bootstrap intervals over the batches of all seeds. Writes
``benchmarks/results/adaptive_masks.json``. Minutes on one core; nothing is attacked, so that it says what is trained
on and not how robust that makes a model.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

# As a script this file's own folder is on the path, not the checkout.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import over_seeds
from benchmarks.run import packaged_model
from hf_robust.data import TextDataset
from hf_robust.data.files import read_rows
from hf_robust.metrics.paired import DRAWS
from hf_robust.trainers import METHODS

BATCH, TRAINED, MEASURED = 32, 60, 8
CLIMB: dict[str, Any] = {"adv_steps": 5, "adv_lr": 0.04}
FREELB: dict[str, Any] = {**CLIMB, "include_initial": False}
AS_FREELB: dict[str, Any] = {**CLIMB, "adaptive_init": "method"}
LINEAR: dict[str, Any] = {**CLIMB, "log_linearisation_error": True}
Values = np.ndarray[Any, Any]


def main() -> None:
    flags = over_seeds.parser(__doc__, "sst2/train.jsonl.gz").parse_args()
    seen = [measure(flags.data, seed) for seed in flags.seeds]
    joined = {name: np.concatenate([one[name] for one in seen]) for name in seen[0]}
    result = {
        "model": "bert_tiny", "data": "sst2", "seeds": flags.seeds, "trained_steps": TRAINED, "batch_size": BATCH,
        "batches_a_seed": MEASURED, **CLIMB,
        "measured": {name: summary(values) for name, values in joined.items()},
    }  # fmt: skip
    over_seeds.write("adaptive_masks", result, "measured")


def measure(data: Path, seed: int) -> dict[str, Values]:
    """(batches, 2) of each quantity: what is measured and what it is divided by."""
    with begun(data, seed, TRAINED) as again:
        freelb = losses(again("freelb", **FREELB), "loss_increase")
        found = {}
        for masks, same in (("one mask", True), ("a mask for each pass", False)):
            point = losses(again("adaptive_freelb", same_dropout=same, **AS_FREELB), "loss_increase")
            found[f"increase of adaptive_freelb, {masks}, of freelb's"] = np.stack([point, freelb], 1)
            pgd = again("adaptive_pgd", same_dropout=same, **LINEAR)
            error = losses(pgd, "linearisation_error", "loss_increase")
            found[f"linearisation error of adaptive_pgd, {masks}, of the increase"] = error
        for norm in ("sample", "magnitude"):
            found |= {f"{key}, {norm}": values for key, values in tavat(again("adaptive_tavat", tavat_norm=norm))}
    return found


@contextmanager
def begun(data: Path, seed: int, steps: int, behind: int = MEASURED) -> Iterator[Callable[..., Any]]:
    """BERT-tiny after so many plain steps on SST-2; gives a method's trainer over it and the ``behind`` batches after
    those."""
    name = packaged_model("bert_tiny")
    tokenizer = AutoTokenizer.from_pretrained(name)
    rows = read_rows(data / "sst2" / "train.jsonl.gz")[: BATCH * (steps + behind)]
    train, held = (
        TextDataset(part, ("sentence",), tokenizer, max_length=64)
        for part in (rows[: BATCH * steps], rows[BATCH * steps :])
    )
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=2)
    with tempfile.TemporaryDirectory() as folder:
        build = partial(trainer, folder=folder, seed=seed, tokenizer=tokenizer)
        build("normal", model, train).train()
        yield partial(build, model=model, data=held)


def trainer(name: str, model: Any, data: Any, folder: str, seed: int, tokenizer: Any, **options: Any) -> Any:
    """A method's trainer over the model."""
    method = METHODS[name]
    arguments = method.config(
        output_dir=folder, robust_method=name, seed=seed, per_device_train_batch_size=BATCH, learning_rate=3e-4,
        num_train_epochs=1, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True, **options,
    )  # fmt: skip
    return method(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)


def batches(method: Any) -> list[Any]:
    """The held rows as the Trainer would give them, with the random state that each method then meets."""
    set_seed(method.args.seed)
    method.model.train()
    return [method._prepare_inputs(batch) for batch in method.get_train_dataloader()]


def losses(method: Any, *names: str) -> Values:
    """(batches, names), or (batches,) of one name: what a step on each batch logs; no weight moves."""
    method.loss_increase.every_step = True
    found = []
    for number, batch in enumerate(batches(method)):
        set_seed(number)
        method.compute_loss(method.model, dict(batch))
        method.model.zero_grad()
        logged = method.means.take()
        found.append([logged[name] for name in names])
    return np.array(found).squeeze()


def tavat(method: Any) -> list[tuple[str, Values]]:
    """Where the ascent starts, and the increments' cosine with their gradient, both ways of taking them."""
    starts, points, gains = [], [], []
    for batch in batches(method):
        start = method.first_point(batch)
        starts.append(start.offset.flatten(1).norm(dim=1).mean().item())
        steps = list(method.embedding_space.climb(batch, partial(method.sample_losses, labels=batch["labels"]), start))
        for values, increment in (
            (points, lambda step: step.after.offset - step.before.detached().offset),
            (gains, method._increment),
        ):
            cosines = [
                torch.cosine_similarity(increment(one).flatten(1), one.gradients[0].flatten(1)) for one in steps
            ]
            values.append(torch.stack(cosines).mean().item())
    named = {"norm of the start": starts, "cosine of differences of points": points, "cosine of increments": gains}
    return [(name, np.stack([values, np.ones(len(values))], 1)) for name, values in named.items()]


def summary(values: Values) -> dict[str, Any]:
    """Ratio of the two columns' means, with its bootstrap interval over rows."""
    draws = np.random.default_rng(0).integers(0, len(values), size=(DRAWS, len(values)))
    means = values[draws].mean(1)
    low, high = np.percentile(means[:, 0] / means[:, 1], [2.5, 97.5])
    value = values[:, 0].mean() / values[:, 1].mean()
    return {"value": round(float(value), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


if __name__ == "__main__":
    main()
