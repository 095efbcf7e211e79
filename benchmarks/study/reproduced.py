"""Takes the finished runs of `hf-robust reproduce` over into the study.

    hf-robust reproduce PAPER ITEM --scale SCALE --data DIR --output_dir RUNS
    python -m benchmarks.study.reproduced benchmarks/experiments/NAME.json... --runs RUNS [--model MODEL]
    python -m benchmarks.study.reproduced benchmarks/experiments/NAME.json... --runs RUNS [--model MODEL] --back

For experiment files with ``paper`` (`benchmarks.study.paper_runs`). Each finished run is measured as the file's
``measures`` say, and its small files are kept as those of other runs. Runs that are there already stay. ``--back``
puts the kept files into RUNS, so that a table is continued on another machine; items that read the models of their
runs need the runs themselves.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.study.distances import distances
from benchmarks.study.measures import BASELINE, FinishedRun, kinds_of, measure
from benchmarks.study.paired import read
from benchmarks.study.paper_runs import PAPER, PaperRun, paper_runs
from benchmarks.study.run import KEPT_FILES, statuses
from benchmarks.study.stored import RESULTS, commit
from hf_robust.runs import STATUSES_FILE, write_json
from hf_robust.sweep.runs import ARGUMENTS, folder_of, is_finished

DISTANCES = "distances.json"


def take_over(file: Path, runs: Path, instead: str | None = None, results: Path = RESULTS) -> Iterator[str]:
    """Measure and keep the finished runs of an experiment; yields a line for each.

    Args:
        runs: the ``--output_dir`` of `hf-robust reproduce`.
        instead: its ``--model``.
    """
    spec = read(file)
    folders = {run[:2]: finished(runs, run) for run in paper_runs(spec[PAPER], instead)}
    for (name, seed), folder in folders.items():
        result = results / file.stem / f"{name}-seed{seed}"
        if folder is None:
            yield f"not finished: {file.stem}/{result.name}"
            continue
        keep(folder, result)
        baseline = folders.get((BASELINE, seed))
        if "measures" in spec and baseline is not None:
            yield from measure(FinishedRun(folder, baseline), result, kinds_of(spec, name))
        yield f"{file.stem}/{result.name}"


def give_back(file: Path, runs: Path, instead: str | None = None, results: Path = RESULTS) -> Iterator[str]:
    """Put the kept files of an experiment's runs back where `hf-robust reproduce` finds them; a line for each."""
    for run in paper_runs(read(file)[PAPER], instead):
        result, folder = results / file.stem / f"{run.name}-seed{run.seed}", folder_of(runs, run.point)
        if (result / STATUSES_FILE).exists() and not is_finished(folder):
            shutil.copytree(result, folder, dirs_exist_ok=True)
            write_json(folder / ARGUMENTS, run.point.flags)
            yield f"{folder.name} from {file.stem}/{result.name}"


def finished(runs: Path, run: PaperRun) -> Path | None:
    """Folder of a run; None if it is not finished."""
    folder = folder_of(runs, run.point)
    return folder if is_finished(folder) else None


def keep(folder: Path, result: Path) -> None:
    """Copy the small files of a run, with the outcomes of its last attacks, if they are not there."""
    if (result / STATUSES_FILE).exists():
        return
    arguments: dict[str, Any] = read(folder / ARGUMENTS)
    result.mkdir(parents=True, exist_ok=True)
    if "antonym_lexicon" in arguments and not (folder / DISTANCES).is_file():
        write_json(folder / DISTANCES, distances(folder))
    for name in KEPT_FILES:
        if (folder / name).exists():
            shutil.copy(folder / name, result / name)
    outcomes = statuses(folder) if arguments.get("attacks") else {}
    (result / STATUSES_FILE).write_text(json.dumps(outcomes), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path)
    parser.add_argument("--runs", type=Path, required=True, help="--output_dir of hf-robust reproduce")
    parser.add_argument("--model", help="its --model")
    parser.add_argument("--back", action="store_true", help="put kept files of runs into --runs")
    options = parser.parse_args()
    for path in options.experiments:
        if PAPER not in read(path):
            parser.error(f'{path} has no "{PAPER}": run it by benchmarks.study.run.')
        for line in (give_back if options.back else take_over)(path, options.runs.resolve(), options.model):
            print(line, flush=True)
    if not options.back:
        commit()


if __name__ == "__main__":
    main()
