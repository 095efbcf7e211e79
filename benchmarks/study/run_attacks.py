"""Attack trained models on real test sets: `benchmarks/experiments/attacks_*.json`, resumable.

    python benchmarks/attacks.py benchmarks/experiments/attacks_*.json --data DIR [--models DIR] [--num N] [--work DIR]

Such an experiment file holds what `benchmarks/run.py` reads, for one method and one seed, and under ``attack`` the
flags of `hf-robust attack`. The model is ``MODELS/<data set>`` where that is there, else it is trained first. What was
attacked is journalled under ``--work``: a run that was stopped goes on where it stopped. The small files go to
``benchmarks/results/attacks_<data set>/``; texts stay in ``--work``, since the data sets may not be published again.
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

KEPT = ("attack_summary.json", "run_card.json", "asr_by_budget.svg")
TRAINING_FILE = "training.json"
TRAINED_WITH = ("num_train_epochs", "learning_rate", "warmup_steps", "per_device_train_batch_size")
OF_TRAINING = ("method", "model", "data", "seed", "final_step", "hardware", "versions")


class BenchmarkError(Exception):
    """Something an experiment needs is missing or not what the file says."""


def dataset_of(path: Path) -> str:
    """The data set of an experiment file, which names the model's folder: ``attacks_sst2.json`` is of sst2."""
    return path.stem.removeprefix("attacks_")


def attack_command(
    path: Path, model: Path, data: Path, output: Path, num: int | None = None, attacks: Sequence[str] = ()
) -> list[str]:
    """`hf-robust attack` with the file's flags, the number of examples and the attacks overridden where given."""
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
    """The arguments of run_glue_robust.py for the experiment's one model."""
    jobs = list(jobs_of(path, data))
    if len(jobs) != 1:
        raise BenchmarkError(f"{path.name} names {len(jobs)} trainings; attacks are of one method and one seed.")
    return jobs[0][1]


def is_model(folder: Path) -> bool:
    """Whether a training has ended there: the Trainer writes its state after the weights."""
    return (folder / "model.safetensors").is_file() and (folder / "trainer_state.json").is_file()


def check_training(folder: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """What the run card of a model says of its training.

    Raises:
        BenchmarkError: there is no card, or the model was trained otherwise than the experiment says.
    """
    from transformers import TrainingArguments

    card: dict[str, Any] = read_json(folder / "run_card.json")
    if not card:
        raise BenchmarkError(f"{folder.name} has no run card, so nobody can say how it was trained; train it again.")
    # A card leaves out what is as transformers has it.
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
    """Numbers of any spelling alike: 1e-4 and 0.0001, 2 and 2.0."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def run_step(step: Sequence[str], log: Path) -> None:
    """Run Python with these arguments; what it prints goes to the log."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        code = subprocess.run(
            [sys.executable, *step], cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
        ).returncode
    if code:
        raise BenchmarkError(f"{' '.join(step[:3])} ended with code {code}; see {log}.")


def trained_model(path: Path, data: Path, models: Path | None, work: Path) -> Path:
    """The folder of the experiment's model, trained if it is in neither folder."""
    name = dataset_of(path)
    for folder in ([models / name] if models else []) + [work / path.stem / name]:
        if is_model(folder):
            return folder
    print(f"{name}: no model yet, so it is trained", flush=True)
    arguments_file = work / path.stem / "_arguments.json"
    arguments_file.parent.mkdir(parents=True, exist_ok=True)
    arguments = {**training_arguments(path, data), "output_dir": str(folder)}
    arguments_file.write_text(json.dumps(arguments, indent=2), encoding="utf-8")
    run_step(["run_glue_robust.py", str(arguments_file)], work / path.stem / "_log.txt")
    return folder


def keep(output: Path, training: Mapping[str, Any], result: Path) -> None:
    """Copy the small files, which hold no text of the data, and say how the model was trained."""
    result.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copy(output / name, result / name)
    text = json.dumps(training, indent=2, ensure_ascii=False)
    (result / TRAINING_FILE).write_text(text + "\n", encoding="utf-8")


def run(path: Path, options: argparse.Namespace) -> str:
    """One experiment from model to kept files; the line to print."""
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
    """1 where an experiment failed; the others are run all the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds sst2/, advglue/, resources/, ...")
    parser.add_argument("--models", type=Path, help="folder that holds a trained model for each data set")
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "benchmarks", help="scratch folder of the runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the small files go")
    parser.add_argument("--num", type=int, help="examples of each data set, for a trial; 0: all. Default: the file's")
    parser.add_argument("--attacks", nargs="+", default=[], help="other attacks than the file's, for a trial")
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
