"""Attacks trained models on real test sets, as ``benchmarks/experiments/attacks_*.json`` say. Resumable.

    python -m benchmarks.study.run_attacks benchmarks/experiments/attacks_*.json --data DIR [--models DIR] [--work DIR]

Such a file has the keys that `benchmarks.study.run` reads, for one method and one seed, and under ``attack`` the flags
of `hf-robust attack`. The model is ``MODELS/<data set>`` if it exists, otherwise it is trained first. A journal under
``--work`` lets an interrupted attack continue. The small files go to ``benchmarks/results``; texts stay in ``--work``,
since the data sets may not be republished.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.run import fill, jobs_of
from benchmarks.study.stored import RESULTS, ROOT, commit
from hf_robust.runs import read_json

KEPT_FILES = ("attack_summary.json", "run_card.json", "asr_by_budget.svg")
TRAINING_FILE = "training.json"
TRAINED_WITH = ("num_train_epochs", "learning_rate", "warmup_steps", "per_device_train_batch_size")
OF_TRAINING = ("method", "model", "data", "seed", "final_step", "hardware", "versions")


class BenchmarkError(Exception):
    """Something that an experiment needs is missing or differs from its file."""


def dataset_of(path: Path) -> str:
    """Data set of an experiment file, which is also the name of the model's folder: sst2 for ``attacks_sst2.json``."""
    return path.stem.removeprefix("attacks_")


def attack_command(
    path: Path, model: Path, data: Path, output: Path, num: int | None = None, attacks: Sequence[str] = ()
) -> list[str]:
    """`hf-robust attack` with the flags of the file; ``num`` and ``attacks`` override them if given."""
    flags = dict(json.loads(path.read_text(encoding="utf-8"))["attack"])
    if num is not None:
        flags["attack_num_examples"] = num
    if attacks:
        flags["attacks"] = list(attacks)
    command = ["-m", "hf_robust.cli.main", "attack", str(model), "--output_dir", str(output)]
    for key, value in flags.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{key}", *(str(fill(item, data)) for item in values)]
    return command


def training_arguments(path: Path, data: Path) -> dict[str, Any]:
    """Arguments of run_glue_robust.py for the experiment's model."""
    jobs = list(jobs_of(path, data))
    if len(jobs) != 1:
        raise BenchmarkError(f"{path.name} names {len(jobs)} trainings; give one method and one seed.")
    return jobs[0][1]


def is_model(folder: Path) -> bool:
    """Whether a finished training is in the folder: the Trainer writes its state after the weights."""
    return (folder / "model.safetensors").is_file() and (folder / "trainer_state.json").is_file()


def check_training(folder: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """The training settings and accuracy of a model, from its run card.

    Raises:
        BenchmarkError: there is no card, or the training differs from what the experiment says.
    """
    from transformers import TrainingArguments

    card: dict[str, Any] = read_json(folder / "run_card.json")
    if not card:
        raise BenchmarkError(f"{folder.name} has no run card, so its training is unknown; train it again.")
    # A card leaves out the defaults of transformers.
    training = {name: card["training"].get(name, getattr(TrainingArguments, name)) for name in TRAINED_WITH}
    stated = {"robust_method": card["method"], "seed": card["seed"], **training}
    differing = [key for key in stated if key in expected and _value(stated[key]) != _value(expected[key])]
    if differing:
        key = differing[0]
        raise BenchmarkError(
            f"{folder.name} was trained with {key} {stated[key]} and the experiment says {expected[key]}; train it "
            "again or change the experiment."
        )
    results: dict[str, Any] = read_json(folder / "all_results.json")
    accuracy = {key: results[key] for key in ("eval_accuracy",) if key in results}
    return {key: card[key] for key in OF_TRAINING if key in card} | {"training": training} | accuracy


def _value(value: Any) -> Any:
    """A number in one spelling, so that 1e-4 equals 0.0001 and 2 equals 2.0; other values unchanged."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def run_step(step: Sequence[str], log: Path) -> None:
    """Run Python with these arguments; its output goes to the log."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        code = subprocess.run(
            [sys.executable, *step], cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
        ).returncode
    if code:
        raise BenchmarkError(f"{' '.join(step[:3])} ended with code {code}; see {log}.")


def trained_model(path: Path, data: Path, models: Path | None, work: Path) -> Path:
    """Folder of the experiment's model, which is trained if neither folder has it."""
    name = dataset_of(path)
    for folder in ([models / name] if models else []) + [work / path.stem / name]:
        if is_model(folder):
            return folder
    print(f"{name}: there is no model yet; training it", flush=True)
    arguments_file = work / path.stem / "_arguments.json"
    arguments_file.parent.mkdir(parents=True, exist_ok=True)
    arguments = {**training_arguments(path, data), "output_dir": str(folder)}
    arguments_file.write_text(json.dumps(arguments, indent=2), encoding="utf-8")
    run_step(["run_glue_robust.py", str(arguments_file)], work / path.stem / "_log.txt")
    return folder


def keep(output: Path, training: Mapping[str, Any], result: Path) -> None:
    """Copy the small files, which hold no text of the data, and write how the model was trained."""
    result.mkdir(parents=True, exist_ok=True)
    for name in KEPT_FILES:
        shutil.copy(output / name, result / name)
    text = json.dumps(training, indent=2, ensure_ascii=False)
    (result / TRAINING_FILE).write_text(text + "\n", encoding="utf-8")


def run(path: Path, options: argparse.Namespace) -> str:
    """Run one experiment from the model to the kept files; a line to print."""
    data, work = options.data.resolve(), options.work.resolve()
    models = options.models.resolve() if options.models else None
    model = trained_model(path, data, models, work)
    training = check_training(model, training_arguments(path, data))
    output = work / path.stem / "attack"
    run_step(attack_command(path, model, data, output, options.num, options.attacks), work / path.stem / "_log.txt")
    result = options.results.resolve() / path.stem
    keep(output, training, result)
    return f"done {path.stem}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run all experiments; returns 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2/, advglue/, resources/, ...")
    parser.add_argument("--models", type=Path, help="folder with a trained model for each data set")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "output" / "benchmarks", help="scratch folder for the runs"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the small files")
    parser.add_argument("--num", type=int, help="number of examples for a trial; 0: all; default: as the file says")
    parser.add_argument("--attacks", nargs="+", default=[], help="attacks for a trial, in place of the file's")
    options = parser.parse_args(argv)
    failed = False
    for path in options.experiments:
        try:
            print(run(path, options), flush=True)
        except BenchmarkError as error:
            failed = True
            print(f"FAILED {path.stem}: {error}", flush=True)
    if options.results == RESULTS:
        commit()
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
