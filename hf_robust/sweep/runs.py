"""Run the script once for each point: a process and a folder each, several at a time, resumable."""

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
TAIL = 8
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """A run to do: its folder and its arguments."""

    folder: Path
    flags: Flags


class Source(Protocol):
    """Where jobs come from."""

    def next(self) -> Job | None:
        """The next run to do; None where there is none to start now."""

    def done(self, job: Job) -> None:
        """Be told that the run of a job has ended well."""

    def points(self) -> Sequence[Point]:
        """Those that belong to the sweep so far."""

    def finished(self) -> Sequence[Path]:
        """The folders of runs that were there before."""

    def describe(self) -> str:
        """What is to be done, in a line."""


class GridSource:
    """The points of a grid as jobs, without those that are finished."""

    def __init__(self, points: Sequence[Point], output: Path, data: Path | None) -> None:
        self._points, self.output, self.data = points, output, data
        self._there = [point for point in points if is_finished(folder_of(output, point))]
        self._waiting = [point for point in points if point not in self._there]

    def next(self) -> Job | None:
        if not self._waiting:
            return None
        point = self._waiting.pop(0)
        return Job(folder_of(self.output, point), fill(point.flags, self.data))

    def done(self, job: Job) -> None:
        """Nothing waits for a point of a grid."""

    def points(self) -> Sequence[Point]:
        return self._points

    def finished(self) -> Sequence[Path]:
        return [folder_of(self.output, point) for point in self._there]

    def describe(self) -> str:
        return f"{len(self._waiting)} of {len(self._points)} runs to do"


def find_script(given: Path | None) -> Path:
    """The script that each run is a process of: the one named, the working folder's, or the checkout's."""
    if given is not None:
        if not given.is_file():
            raise ValueError(f"--script {given} is no file; name the run_glue_robust.py to run.")
        return given.resolve()
    places = [Path.cwd() / SCRIPT, Path(hf_robust.__file__).resolve().parents[1] / SCRIPT]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise ValueError(f"{SCRIPT} is neither in this folder nor beside the package: name it by --script FILE.")
    return found


def folder_of(output: Path, point: Point) -> Path:
    """The folder of a point's run: one that has its hash, whatever it was called when it was made."""
    runs = output / RUNS
    found = sorted(runs.glob(f"*-{point.key}")) if runs.is_dir() else []
    return found[0] if found else runs / f"{point.name}-{point.key}"


def is_finished(folder: Path) -> bool:
    """Whether a run ended and left all its numbers: the card of an ended training, and an evaluation after it."""
    if (folder / FAILED).exists():
        return False
    try:
        card, results = load_evaluated(folder).card, read_json(folder / METRICS_FILE)
    except ValueError:  # half-written: it is run again
        return False
    return isinstance(card.get("final_step"), int) and any(name.startswith("eval_") for name in results)


def newest_checkpoint(folder: Path) -> Path | None:
    """The last whole checkpoint; its state is what is written last, and weights alone cannot be gone on from."""
    found = {
        int(path.name.rpartition("-")[2]): path
        for path in folder.glob("checkpoint-*")
        if path.name.rpartition("-")[2].isdigit()
        and (path / "trainer_state.json").is_file()
        and any(path.glob("optimizer*"))
    }
    return found[max(found)] if found else None


def start(job: Job, script: Path, lock: int | None) -> subprocess.Popen[bytes]:
    """Start a job's process; what it prints goes to its log."""
    job.folder.mkdir(parents=True, exist_ok=True)
    for name in (METRICS_FILE, FAILED):  # the script adds to the one, and the other is of an earlier attempt
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
    source: Source,
    jobs: int,
    script: Path,
    result: Callable[[Path], str],
    say: Callable[[str], None],
    lock: int | None = None,
) -> list[Path]:
    """Run what the source gives, ``jobs`` at a time, with a line for each run that ends; the folders that failed.

    Whatever ends this early ends the runs too; a run that was ended is no failed one, and goes on the next time.

    Args:
        result: what a finished run has to show, in a line.
        lock: a file that every run holds open.
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
                say(f"{job.folder.name}: {result(job.folder)} ({seconds})")
                source.done(job)
                continue
            if process.returncode:  # also where all was measured: what came after, such as an upload, was not done
                write_json(job.folder / FAILED, {"exit": process.returncode})
            failed.append(job.folder)
            why = f"exit {process.returncode}" if process.returncode else "it left no results"
            say(f"{job.folder.name}: failed ({why}, {seconds}); {job.folder / LOG} ends\n{log_tail(job.folder)}")
    finally:
        stop(list(live))


def _first_ended(live: Sequence[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    while True:
        for process in live:
            if process.poll() is not None:
                return process
        time.sleep(POLL_SECONDS)


def stop(live: Sequence[subprocess.Popen[bytes]]) -> None:
    """End these processes, by force where they do not end."""
    for process in live:
        process.terminate()
    for process in live:
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def log_tail(folder: Path) -> str:
    """The last lines of a run's log, indented; of a progress bar its last state."""
    text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    lines = [line.rpartition("\r")[2] for line in text.split("\n") if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-TAIL:])


@contextmanager
def locked(output: Path) -> Iterator[int]:
    """Keep a second sweep out of the folder, and give the lock that the runs hold too.

    The lock ends with the last process that holds it, so that runs that a killed sweep left behind keep it.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(
                f"{output} is in use by another sweep, or by runs that a killed one left behind: wait until they end, "
                "or choose another --output_dir."
            ) from None
        yield file.fileno()


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """A request to end the process is one to interrupt the sweep."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
