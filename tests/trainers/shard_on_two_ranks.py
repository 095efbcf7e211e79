"""Run by torchrun: train, save, resume and attack models in shards. Usage: shard_on_two_ranks.py FOLDER."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from tiny import build_trainer, dense_synonyms, review_data

from hf_robust.attacks import ATTACKS, Resources, choose_examples, weights_hash
from hf_robust.callbacks import AttackCallback
from hf_robust.models.sharded import gathered, is_sharded, reshard, whole_state

SHARDED: dict[str, Any] = {"fsdp": "full_shard", "fsdp_config": {"version": 2}}
# A large epsilon, with which equal gradients up to rounding are equal steps.
STEPS: dict[str, Any] = {
    "max_steps": 3, "save_strategy": "steps", "save_steps": 1, "optim": "adamw_torch", "adam_epsilon": 0.1,
}  # fmt: skip
# One method of each kind: what it has beside the classifier's own passes.
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "normal": ("normal", {}),
    "streamed passes": ("freelb", {}),
    "whole weights that ascend": ("adaptive_pgd", {}),
    "table": ("tavat", {}),
    "look-ups of neighbours": ("ascc", {}),
    "teacher": ("smart", {"smart_mu": 1.0}),
    "twin": ("taichi", {"taichi_beta": 0.0}),
    "average with the twin": ("taichi", {"taichi_variant": "linear_average", "taichi_lambda": 0.5}),
    "adapters": ("adpmixup", {"lora_dropout": 0.0}),
}
ATTACKED = 7
"""Rows to attack: one rank has one more than the other."""


def options_of(run: str, rows: int) -> dict[str, Any]:
    """Options of a run whose batches have ``rows`` rows on each process."""
    _, own = RUNS[run]
    shared = {"synonyms": dense_synonyms(), "per_device_train_batch_size": rows}
    return {**STEPS, **shared, **own}


def attacked_trainer(folder: Path, rows: int, **options: Any) -> Any:
    """A trainer of plain steps, attacked by synonyms and by gradient, that ends with its first weights."""
    trainer = build_trainer(
        "normal", folder, eval_data=review_data(ATTACKED, seed=5), per_device_train_batch_size=rows,
        **STEPS, eval_strategy="steps", eval_steps=1, **options,
    )  # fmt: skip
    resources = Resources(synonyms=dense_synonyms(), query_budget=30)
    attacks = {name: ATTACKS[name](resources) for name in ("synonym", "gradient_mask")}
    examples = choose_examples(trainer.eval_dataset, 0, 0)
    AttackCallback(attacks, examples, strategy="end", max_length=32).attach(trainer)
    return trainer


def main(folder: Path, rank: str) -> None:
    told: dict[str, Any] = {}
    for run, (name, _) in RUNS.items():
        trainer = build_trainer(name, folder / run, **options_of(run, 4), **SHARDED)
        trainer.train()
        trainer.save_model(str(folder / run / "saved"))
        told[run] = weights_hash(trainer.model)
        state = whole_state(trainer.model)
        again = build_trainer(name, folder / run, **options_of(run, 4), **SHARDED)
        again.train(resume_from_checkpoint=str(folder / run / "checkpoint-1"))
        resumed = whole_state(again.model)
        if rank == "0":
            torch.save((state, resumed), folder / f"{run}.pt")
    trainer = attacked_trainer(folder / "attacked", 4, **SHARDED)
    trainer.train()
    parameters = list(trainer.model.parameters())
    with gathered(trainer.model):
        told["whole inside"] = not any(map(is_sharded, trainer.model.parameters()))
    reshard(trainer.model)
    told["shards"] = [all(map(is_sharded, each)) for each in (parameters, trainer.model.parameters())]
    (folder / f"{rank}.json").write_text(json.dumps(told))
    trainer.accelerator.wait_for_everyone()


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ["RANK"])
    os._exit(0)  # threads of the process group may still run, which sometimes aborts
