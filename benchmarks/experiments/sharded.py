"""Does every method train the same weights on shards of a model (FSDP2) as on whole copies of it (DDP)?

    python -m benchmarks.experiments.sharded [--runs normal taichi ...]

Each method trains a tiny random BERT for three steps on two processes, both ways, and attacks it at the end: 4 texts,
by synonyms and by gradient. Compared are the weights, those of the auxiliary module (twin, critic, table) included;
the saved model; and the results of the attacks. Writes ``benchmarks/results/sharded.json``, where other runs stay.
Needs no data and no GPU; takes three minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoTokenizer

from benchmarks.architectures.setting import STEPS, Setting, build_attacks
from benchmarks.experiments.small_model import write_result
from benchmarks.study.stored import COMMITTED
from hf_robust.models.architecture import AUXILIARY_ATTRIBUTE
from hf_robust.models.sharded import is_sharded, whole_state
from hf_robust.runs import RESULTS_FOLDER
from hf_robust.trainers import METHODS
from hf_robust.training import sharding

DDP, FSDP = "ddp", "fsdp"
SHARDED: dict[str, Any] = {"fsdp": "full_shard", "fsdp_config": {"version": 2}}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    # At the default start of 1e-5 the first gradient is mostly rounding, and differs between any two ways to add.
    "smart --smart_mu 1 --adv_init_mag 0.01": ("smart", {"smart_mu": 1.0, "adv_init_mag": 0.01}),
    "taichi --taichi_variant linear_average": ("taichi", {"taichi_variant": "linear_average", "taichi_lambda": 0.5}),
    "adaptive_pgd --w_optim adam": ("adaptive_pgd", {"w_optim": "adam", "optim": "adamw_torch"}),
    "flooding_x --flood_level auto": ("flooding_x", {"flood_level": "auto"}),
    "amda --amda_num_adv 4": ("amda", {"amda_num_adv": 4}),
    "freelb --gradient_accumulation_steps 2": (
        "freelb",
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2},
    ),
    "infobert --gradient_accumulation_steps 2": (
        "infobert",
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2},
    ),
}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in METHODS if not METHODS[name].architectures},
    **VARIANTS,
}
"""Name of a run -> its method, and the flags that differ from the method's defaults; methods that train BERT."""


def main(argv: list[str] | None = None) -> int:
    """Launch the processes and compare what they trained; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS), metavar="RUN")
    parser.add_argument("--process", nargs=3, metavar=("FOLDER", "WAY", "DEVICE"), help=argparse.SUPPRESS)
    flags = parser.parse_args(argv)
    if flags.process:
        folder, way, device = flags.process
        return train_all(flags.runs, Path(folder), way, device)
    with tempfile.TemporaryDirectory() as folder:
        compared = compare(flags.runs, Path(folder))
    write_result(
        "sharded", {"model": "random BERT, 2 layers", "steps": STEPS, "processes": 2, "runs": merged(compared)}
    )
    for name, outcome in compared.items():
        print(f"{name:45s} {json.dumps(outcome)}")
    return 0


def compare(runs: Iterable[str], folder: Path, processes: int = 2, gpu: bool = False) -> dict[str, dict[str, Any]]:
    """What differs between both ways, by run; or why FSDP refuses the run.

    With ``gpu`` the processes train on GPUs, one on each, so a machine with one card tries a single process.
    """
    Setting("bert", folder).tokenizer.save_pretrained(folder)  # one for all: each training of it is another one
    for way in (DDP, FSDP):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command += ["-m", "benchmarks.experiments.sharded", "--process", str(folder), way, "gpu" if gpu else "cpu"]
        command += ["--runs", *runs]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **({} if gpu else {"CUDA_VISIBLE_DEVICES": ""})}
        with (folder / f"{way}.log").open("w") as log:
            if subprocess.run(command, check=False, env=environment, stdout=log, stderr=log).returncode:
                raise RuntimeError((folder / f"{way}.log").read_text()[-4000:])
    return {name: _compared(folder / DDP / name, folder / FSDP / name) for name in runs}


def merged(compared: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The runs of the result file, with these in place of the former ones, in the order of `RUNS`."""
    path = COMMITTED / "sharded.json"
    former = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else {}
    runs = {**former, **compared}
    return {name: runs[name] for name in RUNS if name in runs}


def _compared(whole: Path, sharded: Path) -> dict[str, Any]:
    refused = sharded / "refused.txt"
    if refused.exists():
        return {"refused": refused.read_text(encoding="utf-8")}
    weights, others = (torch.load(folder / "weights.pt") for folder in (whole, sharded))
    assert weights.keys() == others.keys(), "the models have other parameters"
    saved, other_saved = (load_file(folder / "model.safetensors") for folder in (whole, sharded))
    assert saved.keys() == other_saved.keys(), "the saved models have other parameters"
    return {
        "weights": _farthest(weights, others, auxiliary=False),
        "auxiliary": _farthest(weights, others, auxiliary=True),
        "saved_model": _farthest(saved, other_saved, auxiliary=False),
        "attacked_texts": _attacked(whole) == _attacked(sharded),
    }


def _farthest(first: dict[str, Any], second: dict[str, Any], auxiliary: bool) -> float | None:
    """Maximum difference of the weights, or of those of the auxiliary module; None without such weights."""
    names = [name for name, value in first.items() if value.numel()]
    names = [name for name in names if (AUXILIARY_ATTRIBUTE in name.split(".")) is auxiliary]
    differences = [float((first[name].double() - second[name].double()).abs().max()) for name in names]
    return float(f"{max(differences):.1g}") if differences else None


def _attacked(folder: Path) -> list[Any]:
    """Status and text of each attacked example."""
    files = sorted(folder.rglob(f"{RESULTS_FOLDER}/*/*.jsonl"))
    records = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [[record["idx"], record["status"], record["perturbed"]] for record in records]


def train_all(runs: Iterable[str], folder: Path, way: str, device: str) -> int:
    """Train each run in this process."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    with one_process_may_shard():
        for name in runs:
            train(name, folder / way / name, {**(SHARDED if way == FSDP else {}), "use_cpu": device == "cpu"})
    os._exit(0)  # threads of the process group may still run, which sometimes aborts


@contextmanager
def one_process_may_shard() -> Iterator[None]:
    """Let a single process use FSDP, which the package refuses since it saves no memory, to try it on one card."""
    alone = os.environ.get("WORLD_SIZE") == "1"
    with patch.object(sharding, "FEWEST_PROCESSES", 1) if alone else nullcontext():
        yield


def train(name: str, folder: Path, options: dict[str, Any]) -> None:
    """Train a run, attack and save its model, and store its whole weights; or store why it was refused."""
    method, own = RUNS[name]
    setting, attacks = Setting("bert", folder / "files"), build_attacks()
    setting.tokenizer = AutoTokenizer.from_pretrained(folder.parents[1])
    folder.mkdir(parents=True, exist_ok=True)
    kinds = ("fickle",) if method == "dne" else ("fickle", "gradient")  # a vote hides gradients
    try:
        trainer = setting.trainer(method, {kind: attacks[kind] for kind in kinds}, **{**own, **options})
    except ValueError as error:
        (folder / "refused.txt").write_text(str(error), encoding="utf-8")
        return
    trainer.train()
    trainer.save_model(str(folder))
    assert any(map(is_sharded, trainer.model.state_dict().values())) is bool(options.get("fsdp")), (
        f"{name}: shards or not?"
    )
    state = whole_state(trainer.model)
    if trainer.is_world_process_zero():
        torch.save(state, folder / "weights.pt")
    trainer.accelerator.wait_for_everyone()


if __name__ == "__main__":
    sys.exit(main())
