"""Run the script for each point, in a process and a folder of its own; several at a time, resumable."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import hf_robust
from hf_robust.reports import load_evaluated
from hf_robust.runs import METRICS_FILE, Flags, read_json, write_json
from hf_robust.sweep.checks import fill
from hf_robust.sweep.file import Point

SCRIPT = "run_glue_robust.py"
RUNS, ARGUMENTS, LOG, FAILED, LOCK = "runs", "_arguments.json", "_log.txt", "_failed.json", "_lock"
TAIL_LINES = 8
"""Number of lines of a failed run's log that are printed."""
POLL_SECONDS = 0.1
TERMINATION_SECONDS = 10.0
"""Time that a process has to end before it is killed."""


@dataclass(frozen=True)
class Job:
    """A run to do: its folder and its arguments."""

    folder: Path
    flags: Flags


class JobSource(Protocol):
    """A source of jobs: the points of a grid, or the trials of a search."""

    def next(self) -> Job | None:
        """Return the next run to do; None if there is none to start now."""

    def done(self, job: Job) -> None:
        """Record that the run of a job has finished."""

    def points(self) -> Sequence[Point]:
        """Return the points of the sweep so far, each once."""

    def finished(self) -> Sequence[Path]:
        """Return the folders of the runs that were finished before."""

    def describe(self) -> str:
        """Return a line that says how many runs are to do."""


class GridJobs:
    """Jobs for the points of a grid that are not finished."""

    def __init__(self, points: Sequence[Point], output: Path, data: Path | None) -> None:
        self._points, self.output, self.data = points, output, data
        self._finished = [point for point in points if is_finished(folder_of(output, point))]
        self._waiting = [point for point in points if point not in self._finished]

    def next(self) -> Job | None:
        if not self._waiting:
            return None
        point = self._waiting.pop(0)
        return Job(folder_of(self.output, point), fill(point.flags, self.data))

    def done(self, job: Job) -> None:
        """Do nothing: the points of a grid do not depend on each other."""

    def points(self) -> Sequence[Point]:
        return self._points

    def finished(self) -> Sequence[Path]:
        return [folder_of(self.output, point) for point in self._finished]

    def describe(self) -> str:
        return f"{len(self._waiting)} of {len(self._points)} runs to do"


def find_script(path: Path | None) -> Path:
    """Find the script of the runs: ``path``, else run_glue_robust.py in the working folder, else the installed one.

    The installed one, or that of a checkout, is the file beside the package.

    Raises:
        ValueError: there is no such file.
    """
    if path is not None:
        if not path.is_file():
            raise ValueError(f"--script {path} is not a file: give the path of run_glue_robust.py.")
        return path.resolve()
    candidates = [Path.cwd() / SCRIPT, Path(hf_robust.__file__).resolve().parents[1] / SCRIPT]
    script = next((candidate for candidate in candidates if candidate.is_file()), None)
    if script is None:
        raise ValueError(
            f"{SCRIPT} is neither in this folder nor beside the package hf_robust: give it by --script FILE."
        )
    return script


def folder_of(output: Path, point: Point) -> Path:
    """Return the folder of a point's run; a folder with the point's hash is used whatever its name is."""
    runs = output / RUNS
    folders = sorted(runs.glob(f"*-{point.key}")) if runs.is_dir() else []
    return folders[0] if folders else runs / f"{point.name}-{point.key}"


def is_finished(folder: Path) -> bool:
    """Whether a run has all its numbers: the run card of a finished training, and an evaluation after it."""
    if (folder / FAILED).exists():
        return False
    try:
        card, results = load_evaluated(folder).card, read_json(folder / METRICS_FILE)
    except ValueError:  # a half-written file: do the run again
        return False
    return isinstance(card.get("final_step"), int) and any(name.startswith("eval_") for name in results)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, with trainer state and optimizer; None if there is none."""
    checkpoints = {
        int(path.name.rpartition("-")[2]): path
        for path in folder.glob("checkpoint-*")
        if path.name.rpartition("-")[2].isdigit()
        and (path / "trainer_state.json").is_file()
        and any(path.glob("optimizer*"))
    }
    return checkpoints[max(checkpoints)] if checkpoints else None


def start(job: Job, script: Path, lock: int | None) -> subprocess.Popen[bytes]:
    """Start the process of a job, with its output in the log file."""
    job.folder.mkdir(parents=True, exist_ok=True)
    for name in (METRICS_FILE, FAILED):  # left by an earlier attempt; the script would add to the metrics
        (job.folder / name).unlink(missing_ok=True)
    arguments = {**job.flags, "output_dir": str(job.folder)}
    checkpoint = newest_checkpoint(job.folder)
    if checkpoint is not None:
        arguments["resume_from_checkpoint"] = str(checkpoint)
    file = job.folder / ARGUMENTS
    write_json(file, arguments)
    with (job.folder / LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(script), str(file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TOKENIZERS_PARALLELISM": os.environ.get("TOKENIZERS_PARALLELISM", "false")},
            pass_fds=() if lock is None else (lock,),
        )


def run_jobs(
    source: JobSource,
    jobs: int,
    script: Path,
    result: Callable[[Path], str],
    print_line: Callable[[str], None],
    lock: int | None = None,
) -> list[Path]:
    """Do the runs of a source, ``jobs`` at a time, and return the folders of those that failed.

    An interruption also ends the runs. They do not count as failed, and continue with the next call.

    Args:
        result: returns the results of a finished run in one line.
        print_line: prints a line, one for each run that ends.
        lock: a file descriptor that every run keeps open.
    """
    live: dict[subprocess.Popen[bytes], tuple[Job, float]] = {}
    failed: list[Path] = []
    try:
        while True:
            while len(live) < jobs and (job := source.next()) is not None:
                live[start(job, script, lock)] = (job, time.monotonic())
            if not live:
                return failed
            process = _first_ended(list(live))
            job, began = live.pop(process)
            seconds = f"{time.monotonic() - began:.0f} s"
            if process.returncode == 0 and is_finished(job.folder):
                print_line(f"{job.folder.name}: {result(job.folder)} ({seconds})")
                source.done(job)
                continue
            if process.returncode:  # also if all was measured: a later step, such as an upload, has failed
                write_json(job.folder / FAILED, {"exit": process.returncode})
            failed.append(job.folder)
            reason = f"exit code {process.returncode}" if process.returncode else "it left no results"
            tail = log_tail(job.folder)
            print_line(
                f"{job.folder.name}: failed ({reason}, {seconds}); the last lines of {job.folder / LOG}:\n{tail}"
            )
    finally:
        stop(list(live))


def _first_ended(live: Sequence[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    while True:
        for process in live:
            if process.poll() is not None:
                return process
        time.sleep(POLL_SECONDS)


def stop(live: Sequence[subprocess.Popen[bytes]]) -> None:
    """Terminate processes, and kill those that do not end."""
    for process in live:
        process.terminate()
    for process in live:
        try:
            process.wait(TERMINATION_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def log_tail(folder: Path) -> str:
    """Return the last lines of a run's log, indented; of a progress bar only its last state."""
    text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    lines = [line.rpartition("\r")[2] for line in text.split("\n") if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])


@contextmanager
def locked(output: Path) -> Iterator[int]:
    """Lock the folder against a second sweep, and yield the file descriptor of the lock for the runs.

    The lock ends with the last process that holds it. So runs that a killed sweep left behind keep it.

    Raises:
        ValueError: another process holds the lock.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(
                f"{output} is in use by another sweep, or by runs of a sweep that was killed: wait until they end, "
                f"or give "
                "another --output_dir."
            ) from None
        yield file.fileno()


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Treat SIGTERM as an interruption of the sweep, like Ctrl-C."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
