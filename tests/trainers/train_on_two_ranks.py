"""Run by torchrun: train every method on two ranks, save each rank's weights. Usage: train_on_two_ranks.py FOLDER."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from tiny import SPLITTABLE, build_trainer, dense_synonyms

from hf_robust.trainers import METHODS

if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), os.environ["RANK"]
    for name in METHODS:
        options = {"max_steps": 2, "per_device_train_batch_size": 4, "synonyms": dense_synonyms()}
        trainer = build_trainer(name, folder / f"_{name}", **options, **SPLITTABLE.get(name, {}))
        trainer.train()
        torch.save(trainer.model.state_dict(), folder / f"{name}-{rank}.pt")
    # Threads of the process group may still run when the interpreter takes itself apart, which aborts now and then.
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()
    os._exit(0)
