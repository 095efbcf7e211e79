"""Run by torchrun: generate views on two ranks, then fail on both. Usage: generate_on_two_ranks.py FOLDER."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from scripted import Scripted
from tiny import build_trainer

from hf_robust.attacks.engine import ranks

RUNS: dict[str, dict[str, Any]] = {
    "ada": {},
    # One round: the order of the next one depends on the last bit of the weights, so on the order of summation.
    "a2t": {"num_train_adv_examples": 3, "max_steps": 2},
    "adv_iter": {"n_rounds": 2, "epochs_per_round": 1, "view_fraction": 0.75},
}
STATUSES = {number: "failed" for number in range(16) if number % 3}

if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), os.environ["RANK"]
    attack_dataset, shown = ranks.attack_dataset, []

    def watched(*args: Any, progress: bool, **kwargs: Any) -> Any:
        shown.append(progress)
        return attack_dataset(*args, progress=False, **kwargs)

    ranks.attack_dataset = watched
    told: dict[str, Any] = {"shown": shown}
    for name, options in RUNS.items():
        attack = Scripted(STATUSES)
        settings = {"per_device_train_batch_size": 4, "disable_tqdm": False, **options}
        trainer = build_trainer(name, folder / name, attacks={"scripted": attack}, **settings)
        trainer.train()
        told[name] = attack.attacked
        torch.save(trainer.model.state_dict(), folder / f"{name}-{rank}.pt")
    again = Scripted(STATUSES)
    build_trainer("ada", folder / "ada", attacks={"scripted": again}, per_device_train_batch_size=4).train()
    told["again"] = again.attacked
    (folder / f"{rank}.json").write_text(json.dumps(told))
    trainer.accelerator.wait_for_everyone()
    in_vain = {"scripted": Scripted({number: "failed" for number in range(16)})}
    build_trainer("ada", folder / "in_vain", attacks=in_vain, per_device_train_batch_size=4).train()
