"""Run by torchrun: train every method on two ranks, save each rank's weights. Usage: train_on_two_ranks.py FOLDER."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from tiny import CODE, build_model, build_trainer, dense_synonyms

from hf_robust.trainers import METHODS

# Further runs besides those of all methods with their defaults: name, method and options.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bat_triplet_warmed": ("bat_triplet", {"contrastive_warmup": 1.0}),
    "taichi_mean": ("taichi", {**METHODS["taichi"].row_wise, "model": build_model(head="mean")}),
    **{f"{name}_code": (name, options) for name, options in CODE.items()},
}

if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), os.environ["RANK"]
    runs = {name: (name, dict(method.row_wise)) for name, method in METHODS.items()}
    for run, (name, own) in {**runs, **VARIANTS}.items():
        options = {"max_steps": 2, "per_device_train_batch_size": 4, "synonyms": dense_synonyms(), **own}
        trainer = build_trainer(name, folder / f"_{run}", **options)
        trainer.train()
        torch.save(trainer.model.state_dict(), folder / f"{run}-{rank}.pt")
    # Threads of the process group may still run when the interpreter exits, which sometimes aborts.
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()
    os._exit(0)
