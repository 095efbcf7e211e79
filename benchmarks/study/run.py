"""Runs experiment files: every method with every seed, each run in a process of its own. Resumable.

    python -m benchmarks.study.run benchmarks/experiments/NAME.json... --data DIR [--jobs 2] [--work DIR]
    python -m benchmarks.study.run benchmarks/experiments/NAME.json... --data DIR --backend ray
    python -m benchmarks.study.run benchmarks/experiments/NAME.json... --plan    which further seeds decide what

With Ray, all machines must share the folder of the checkout, DIR and the ``--work`` folder.

Keys of an experiment file:

- ``methods`` and ``seeds``; in place of ``methods`` a sweep has ``settings``, arguments by name;
- ``args``, arguments of run_glue_robust.py, and ``method_args``, more arguments by method. ``{data}`` in them stands
  for the data folder, and ``{bert_tiny}``, ``{minilm}`` and ``{mpnet}`` for the models of `benchmarks.study.packaged`.
  ``{baseline}`` stands for the folder of the run of ``normal`` with the same seed, which is
  done before those that name it; such an experiment keeps its models in ``--work``;
- ``gpu_args``, more arguments where there is a GPU;
- ``larger_class``, the share of the evaluation set's larger class, for the claims;
- ``measures``, what `benchmarks.study.measures` measures of each model after its run;
- ``apart`` keeps a large experiment out of `benchmarks.study.study`.

The small files of a run go to ``benchmarks/results``; tables, claims and pages are made from these. A run whose result
exists is not repeated.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from benchmarks.study.packaged import PACKAGED_MODELS, packaged_model
from benchmarks.study.stored import RESULTS, ROOT, commit
from hf_robust.runs import STATUSES_FILE, Run, load_run, read_json, read_records, status_letters
from hf_robust.sweep.backends import add_backend_flags, opened_backend
from hf_robust.sweep.place import Backend, LostError, Place

WEIGHTS = "adversary_weights.jsonl"
KEPT_FILES = (
    "robustness_history.jsonl",
    "run_card.json",
    "all_results.json",
    "distances.json",
    WEIGHTS,
    "word_mask.jsonl",
)
BASELINE = "{baseline}"
WORK = ROOT / "output" / "benchmarks"
ELSEWHERE = {"attack": "benchmarks.study.run_attacks", "paper": "hf-robust reproduce and benchmarks.study.reproduced"}
"""Key of an experiment file -> what runs such files."""


def fill(value: Any, data: Path) -> Any:
    """Replace ``{data}`` and the models' names by folders, also inside lists."""
    if isinstance(value, list):
        return [fill(item, data) for item in value]
    if not isinstance(value, str):
        return value
    for name in PACKAGED_MODELS:
        if f"{{{name}}}" in value:
            value = value.replace(f"{{{name}}}", packaged_model(name))
    return value.replace("{data}", str(data))


def jobs_of(path: Path, data: Path, work: Path = WORK) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Result folder and script arguments of each run, seed by seed."""
    experiment = json.loads(path.read_text(encoding="utf-8"))
    shared = experiment["args"]
    settings = experiment.get("settings") or {name: {"robust_method": name} for name in experiment["methods"]}
    if torch.cuda.is_available():
        shared = {**shared, **experiment.get("gpu_args", {})}
    method_args = experiment.get("method_args", {})
    fixed = {"do_train": True, "do_eval": True, "save_strategy": "no", "disable_tqdm": True, "report_to": "none"}
    for seed in experiment["seeds"]:
        for name, setting in settings.items():
            arguments = {**shared, **method_args.get(setting["robust_method"], {}), **setting, "seed": seed, **fixed}
            baseline = str(work / path.stem / f"normal-seed{seed}")
            arguments = {key: baseline if value == BASELINE else fill(value, data) for key, value in arguments.items()}
            yield RESULTS / path.stem / f"{name}-seed{seed}", arguments


def setting_of(result: Path) -> str:
    """Method or setting of a run, from the name of its folder."""
    return result.name.rpartition("-seed")[0]


def run(result: Path, arguments: dict[str, Any], work: Path, place: Place) -> str:
    """Train and attack one setting, measure it, and keep the small files; returns a line to print."""
    folder = work / result.parent.name / result.name
    folder.mkdir(parents=True, exist_ok=True)
    arguments_file = folder / "_arguments.json"
    arguments_file.write_text(json.dumps({**arguments, "output_dir": str(folder)}, indent=2), encoding="utf-8")
    steps = [["run_glue_robust.py", str(arguments_file)]]
    if "antonym_lexicon" in arguments:
        steps.append(["-m", "benchmarks.study.distances", str(folder)])
    for step in steps:
        if logged(step, folder, place):
            return f"FAILED {result.parent.name}/{result.name}: see {folder / '_log.txt'}"
    result.mkdir(parents=True, exist_ok=True)
    for name in KEPT_FILES:
        if (folder / name).exists():
            shutil.copy(folder / name, result / name)
    (result / STATUSES_FILE).write_text(json.dumps(statuses(folder)), encoding="utf-8")
    experiment = ROOT / "benchmarks" / "experiments" / f"{result.parent.name}.json"
    if "measures" in json.loads(experiment.read_text(encoding="utf-8")):
        measure = ["-m", "benchmarks.study.measures", str(experiment), "--work", str(work), "--only", result.name]
        if logged(measure, folder, place):
            return f"FAILED measures of {result.parent.name}/{result.name}: see {folder / '_log.txt'}"
    if not keeps_model(experiment):
        (folder / "model.safetensors").unlink(missing_ok=True)
    return f"done {result.parent.name}/{result.name}"


def logged(step: list[str], folder: Path, place: Place) -> int:
    """Run Python from the checkout with its output in the run's log; returns the exit status."""
    variables = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return place.execute([sys.executable, *step], folder / "_log.txt", ROOT, variables)


def keeps_model(experiment: Path) -> bool:
    """Whether other runs or measurements of the experiment need its trained models."""
    text = experiment.read_text(encoding="utf-8")
    return BASELINE in text or "measures" in json.loads(text)


def kept_run(folder: Path) -> Run:
    """A finished run.

    Raises:
        ValueError: it was not measured at the step whose weights it kept.
    """
    run = load_run(folder)
    if not run.measured_exactly:
        raise ValueError(
            f"{folder} kept the weights of step {run.kept_step}, at which it was not measured: measure as often as it "
            "saves, by one --eval_strategy and --save_strategy."
        )
    return run


def attack_records(folder: Path, attack: str) -> Path:
    """File of the records of an attack on the weights that a run kept: those of its last epoch, or of its best."""
    run = kept_run(folder)
    return run.records_file(run.published, attack)


def statuses(folder: Path) -> dict[str, dict[str, str]]:
    """Outcome of each example under each attack on the weights that a run kept, as one letter."""
    attacks = sorted(kept_run(folder).published["attacks"])
    return {attack: status_letters(read_records(attack_records(folder, attack))) for attack in attacks}


def run_all(jobs: Sequence[tuple[Path, dict[str, Any]]], work: Path, backend: Backend) -> None:
    """Do the runs, those that need no other run first, and print a line for each that ends."""
    needing = [job for job in jobs if any(str(value).startswith(f"{work}/") for value in job[1].values())]
    for part in ([job for job in jobs if job not in needing], needing):
        names = {backend.submit(run, *job, work): f"{job[0].parent.name}/{job[0].name}" for job in part}
        for future in as_completed(names):
            try:
                print(future.result(), flush=True)
            except (LostError, OSError) as error:
                print(f"FAILED {names[future]}: {error}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, help="folder with snli/, mrpc/, resources/, ...; runs need it")
    parser.add_argument("--plan", action="store_true", help="run nothing: print which further seeds decide what")
    parser.add_argument("--work", type=Path, default=WORK, help="scratch folder for the runs")
    parser.add_argument("--seeds", nargs="+", type=int, help="run only these seeds of the experiments")
    parser.add_argument("--only", nargs="+", default=["*"], help="run only settings whose names match these patterns")
    add_backend_flags(parser)
    options = parser.parse_args()
    if options.plan:
        from benchmarks.study.plan import plan  # it reads the verdicts, which are made of runs

        print("\n".join(plan(options.experiments)))
        return
    if options.data is None:
        parser.error("name the folder of the data sets by --data, or print the plan by --plan.")
    elsewhere = {path: key for path in options.experiments for key in ELSEWHERE if key in read_json(path)}
    for path, key in elsewhere.items():
        print(f"{path.name} is left out; run it by {ELSEWHERE[key]}")
    todo = [
        job
        for path in options.experiments
        if path not in elsewhere
        for job in jobs_of(path, options.data.resolve(), options.work.resolve())
        if not (job[0] / STATUSES_FILE).exists()
        and (not options.seeds or job[1]["seed"] in options.seeds)
        and any(fnmatch(setting_of(job[0]), pattern) for pattern in options.only)
    ]
    print(f"{len(todo)} runs to do")
    try:
        with opened_backend(options) as backend:
            run_all(todo, options.work.resolve(), backend)
    except ValueError as error:
        raise SystemExit(f"benchmarks.study.run: {error}") from error
    finally:
        commit()


if __name__ == "__main__":
    main()
