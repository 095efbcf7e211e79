"""Storage of results: one committed JSON-lines file for each experiment, with one line for each run.

    python -m benchmarks.study.stored                       packs and commits new results
    python -m benchmarks.study.stored EXPERIMENT/RUN        prints the run card of a committed run, and its line

A line holds the small files of a run by name. ``RESULTS`` is a folder outside version control in which these files are
unpacked into one folder for each run, as ``hf_robust`` reads and writes them. An experiment is unpacked again if its
committed lines have changed. Results that are a single file, and pictures (SVG), are committed unpacked, and linked
from ``RESULTS``.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "benchmarks" / "experiments"
COMMITTED = ROOT / "benchmarks" / "results"
UNPACKED = ROOT / "benchmarks" / "unpacked"
_STAMP = ".packed_as"
_RUN = "run"
_LOCK = ".lock"
_PICTURE = ".svg"


def unpack(committed: Path = COMMITTED, unpacked: Path = UNPACKED) -> Path:
    """Unpack every committed result into the folder ``unpacked`` and return it."""
    unpacked.mkdir(exist_ok=True)
    with FileLock(unpacked / _LOCK):
        _unpack(committed, unpacked)
    return unpacked


def _unpack(committed: Path, unpacked: Path) -> None:
    for packed in sorted(committed.glob("*.jsonl")):
        folder, stamp = unpacked / packed.stem, _digest(packed)
        if not (folder / _STAMP).is_file() or (folder / _STAMP).read_text(encoding="utf-8") != stamp:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for line in packed.read_text(encoding="utf-8").splitlines():
                _write_run(folder, json.loads(line))
            (folder / _STAMP).write_text(stamp, encoding="utf-8")
    for single in (path for path in committed.rglob("*") if path.is_file() and path.suffix != ".jsonl"):
        _link(unpacked / single.relative_to(committed), single)


def commit(unpacked: Path = UNPACKED, committed: Path = COMMITTED) -> None:
    """Pack the runs of every experiment into lines; new single files and pictures move to ``committed``."""
    with FileLock(unpacked / _LOCK):
        for path in sorted(path for path in unpacked.iterdir() if path.name != _LOCK):
            _commit(path, unpacked, committed)


def _commit(path: Path, unpacked: Path, committed: Path) -> None:
    singles = [path] if path.is_file() else [file for file in path.iterdir() if file.suffix == _PICTURE]
    for single in (file for file in singles if not file.is_symlink()):
        target = committed / single.relative_to(unpacked)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(single, target)
        _link(single, target)
    if path.is_dir():
        lines = [json.dumps(run, ensure_ascii=False, separators=(",", ":")) for run in _runs(path)]
        packed = committed / f"{path.name}.jsonl"
        packed.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (path / _STAMP).write_text(_digest(packed), encoding="utf-8")


def _runs(experiment: Path) -> Iterator[dict[str, Any]]:
    """One object for each folder of an experiment that has files: its path, and the contents of its files by name."""
    for folder in [experiment, *sorted(path for path in experiment.rglob("*") if path.is_dir())]:
        files = sorted([*folder.glob("*.json"), *folder.glob("*.jsonl")])
        if files:
            yield {_RUN: folder.relative_to(experiment).as_posix(), **{path.name: _content(path) for path in files}}


def _content(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


def _write_run(experiment: Path, run: dict[str, Any]) -> None:
    folder = experiment / run.pop(_RUN)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in run.items():
        objects = content if name.endswith(".jsonl") else [content]
        lines = [json.dumps(item, ensure_ascii=False) for item in objects]
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _link(path: Path, target: Path) -> None:
    if not path.is_symlink() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target.resolve())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lines_of(experiment: str, committed: Path = COMMITTED) -> dict[str, int]:
    """Run -> number of its line in the committed file of an experiment, from 1; empty if there is no such file."""
    packed = committed / f"{experiment}.jsonl"
    if not packed.is_file():
        return {}
    with packed.open(encoding="utf-8") as lines:
        names = [re.match(r'\{"run":"([^"]*)"', line) for line in lines]
    return {name[1]: number for number, name in enumerate(names, start=1) if name}


def card(name: str, committed: Path = COMMITTED) -> str:
    """The place and the run card of a committed run, named ``EXPERIMENT/RUN``.

    Raises:
        ValueError: there is no such experiment or run.
    """
    experiment, _, run = name.partition("/")
    lines = lines_of(experiment, committed)
    if run not in lines:
        known = ", ".join(lines) or ", ".join(sorted(path.stem for path in committed.glob("*.jsonl")))
        raise ValueError(f"{name} is no committed run; name EXPERIMENT/RUN, and choose from {known}.")
    line = (committed / f"{experiment}.jsonl").read_text(encoding="utf-8").splitlines()[lines[run] - 1]
    place = f"benchmarks/results/{experiment}.jsonl, line {lines[run]}"
    return f"{place}\n{json.dumps(json.loads(line).get('run_card.json'), indent=2, ensure_ascii=False)}"


RESULTS = unpack()


def main(names: list[str]) -> None:
    """Commit new results, or print run cards."""
    try:
        for name in names:
            print(card(name))
    except ValueError as error:
        raise SystemExit(f"benchmarks.study.stored: {error}") from error
    if not names:
        commit()


if __name__ == "__main__":
    main(sys.argv[1:])
