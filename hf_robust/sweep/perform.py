"""Do one run of a sweep, on any machine that sees the sweep's home."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hf_robust.runs import METRICS_FILE, TRAINER_STATE_FILE, Flags, read_json, write_json
from hf_robust.sweep.home import Home, RunFolder
from hf_robust.sweep.place import Place
from hf_robust.sweep.runs import ARGUMENTS, FAILED, LOG, is_finished, newest_checkpoint

BEST = "best_model_checkpoint"
"""Key of the trainer state: the path of the best checkpoint."""


@dataclass(frozen=True)
class Task:
    """A run to do: its name, its flags, the script with its working folder, and the home of its files."""

    name: str
    flags: Flags
    script: Path
    working_folder: Path
    home: Home


class Ended(NamedTuple):
    """How a run ended: the exit status of its process, whether it has its results, and after how many seconds."""

    exit_status: int
    finished: bool
    seconds: float


def perform(task: Task, place: Place) -> Ended:
    """Do a run from its newest checkpoint, unless it was finished before.

    Raises:
        ValueError: this machine does not see the sweep or has no such script.
        KeyboardInterrupt: the run was stopped; what it has written is kept.
    """
    began = time.monotonic()
    task.home.check()
    if not task.script.is_file():
        raise ValueError(
            f"the machine {socket.gethostname()} has no script {task.script}: install hf_robust in the same place on "
            "all machines, or give --script a file that they share."
        )
    with task.home.opened(task.name, place) as run:
        if is_finished(run.path):
            return Ended(0, True, time.monotonic() - began)
        status = _execute(task, run, place)
        if status:  # also if all was measured: a later step, such as an upload, has failed
            write_json(run.path / FAILED, {"exit": status})
        return Ended(status, is_finished(run.path), time.monotonic() - began)


def _execute(task: Task, run: RunFolder, place: Place) -> int:
    for name in (METRICS_FILE, FAILED):  # left by an earlier attempt; the script would add to the metrics
        (run.path / name).unlink(missing_ok=True)
    arguments = {**task.flags, "output_dir": str(run.path)}
    checkpoint = newest_checkpoint(run.path)
    if checkpoint is not None:
        adopt(checkpoint)
        arguments["resume_from_checkpoint"] = str(checkpoint)
    file = run.path / ARGUMENTS
    write_json(file, arguments)
    return place.execute(
        [sys.executable, str(task.script), str(file)],
        run.path / LOG,
        # A relative path in the flags is below the folder of the command, where the machine has it.
        task.working_folder if task.working_folder.is_dir() else run.path,
        variables={"TOKENIZERS_PARALLELISM": os.environ.get("TOKENIZERS_PARALLELISM", "false")},
        kept_open=run.locks,
        meanwhile=None if run.save is None else saving(run.path, run.save, checkpoint),
    )


def adopt(checkpoint: Path) -> None:
    """Make the trainer state name the best checkpoint in this folder: the run may have begun in another one."""
    file = checkpoint / TRAINER_STATE_FILE
    state = read_json(file)
    best = state.get(BEST)
    if best is not None and Path(best).parent != checkpoint.parent:
        write_json(file, {**state, BEST: str(checkpoint.parent / Path(best).name)})


def saving(folder: Path, save: Callable[[], None], checkpoint: Path | None) -> Callable[[], None]:
    """Return a function that saves the run whenever it has another newest checkpoint."""
    saved = checkpoint

    def save_new() -> None:
        nonlocal saved
        newest = newest_checkpoint(folder)
        if newest != saved:
            save()
            saved = newest

    return save_new
