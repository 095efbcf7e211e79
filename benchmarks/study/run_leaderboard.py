"""Trains and measures the committed runs of the leaderboard, as an experiment file says. Resumable.

    python -m benchmarks.study.run_leaderboard --data DIR [--experiment leaderboard_sst2] [--seeds 1] [--work DIR]

The file has the keys that `benchmarks.study.run` reads. What a submission has, its history and its run card, goes to
``benchmarks/leaderboard/<data>-<method>-seed<n>``. A run that is there is not repeated. One run at a time, each in a
process of its own; `NLTK_DATA` must name a folder with WordNet, stop words and the tagger.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.study.leaderboard_part import SUBMITTED
from benchmarks.study.packaged import PACKAGED_MODELS, packaged_model
from benchmarks.study.run import WORK, jobs_of, logged
from benchmarks.study.stored import EXPERIMENTS
from hf_robust.runs import HISTORY_FILE, RUN_CARD_FILE
from hf_robust.sweep.place import Place

NAME = "leaderboard_sst2"
FILES = (HISTORY_FILE, RUN_CARD_FILE)


def runs_of(experiment: Path, data: Path, work: Path, links: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder and arguments of each run; a packaged model is named by its link in ``links``."""
    linked = {model: links / name for name, model in models_of(experiment).items()}
    for result, arguments in jobs_of(experiment, data, work):
        model = arguments["model_name_or_path"]
        folder = SUBMITTED / f"{experiment.stem.removeprefix('leaderboard_')}-{result.name}"
        yield folder, {**arguments, "model_name_or_path": str(linked.get(model, model))}


def models_of(experiment: Path) -> dict[str, str]:
    """Folders of the packaged models that the experiment file names, by name."""
    text = experiment.read_text(encoding="utf-8")
    return {name: packaged_model(name) for name in PACKAGED_MODELS if f"{{{name}}}" in text}


@contextmanager
def linked_models(experiment: Path) -> Iterator[Path]:
    """A folder outside the checkout with links to the models, so that run cards have the models' names."""
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models_of(experiment).items():
            (Path(folder) / name).symlink_to(model, target_is_directory=True)
        yield Path(folder)


def run(folder: Path, arguments: dict[str, Any], work: Path) -> str:
    """Train and measure one model; keep its history and its run card. Returns a line to print."""
    output = work / folder.name
    output.mkdir(parents=True, exist_ok=True)
    arguments_file = output / "_arguments.json"
    arguments_file.write_text(json.dumps({**arguments, "output_dir": str(output)}, indent=2), encoding="utf-8")
    if logged(["run_glue_robust.py", str(arguments_file)], output, Place()):
        return f"FAILED {folder.name}: see {output / '_log.txt'}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(output / name, folder / name)
    return f"done {folder.name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2/ and resources/")
    parser.add_argument("--experiment", default=NAME, help="name of a file of benchmarks/experiments")
    parser.add_argument("--seeds", nargs="+", type=int, help="run only these seeds")
    parser.add_argument("--work", type=Path, default=WORK / "leaderboard", help="scratch folder for the runs")
    options = parser.parse_args()
    work, file = options.work.resolve(), EXPERIMENTS / f"{options.experiment}.json"
    with linked_models(file) as links:
        for folder, arguments in runs_of(file, options.data.resolve(), work, links):
            if not folder.is_dir() and (not options.seeds or arguments["seed"] in options.seeds):
                print(run(folder, arguments, work), flush=True)


if __name__ == "__main__":
    main()
