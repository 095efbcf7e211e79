"""Do the missing runs of a sweep: several at a time, each once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hf_robust.runs import Flags
from hf_robust.sweep.checks import fill
from hf_robust.sweep.file import Point
from hf_robust.sweep.output import Output
from hf_robust.sweep.perform import Ended, Task, perform
from hf_robust.sweep.place import Backend, LostError
from hf_robust.sweep.runs import LOG, folder_of, is_finished, log_tail

LATE_SECONDS = 60.0
"""Time after which the files of another machine show in a shared folder."""


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


def run_jobs(
    source: JobSource,
    output: Output,
    backend: Backend,
    script: Path,
    result: Callable[[Path], str],
    print_line: Callable[[str], None],
) -> list[Path]:
    """Do the runs of a source and return the folders of those that failed.

    An interruption also ends the runs. They do not count as failed, and continue with the next call.

    Args:
        result: returns the results of a finished run in one line.
        print_line: prints a line, one for each run that ends.
    """
    live: dict[Future[Ended], Job] = {}
    failed: list[Path] = []
    try:
        while True:
            while len(live) < backend.at_a_time and (job := source.next()) is not None:
                task = Task(job.folder.name, job.flags, script, Path.cwd(), output.home)
                live[backend.submit(perform, task)] = job
            output.send()
            if not live:
                return failed
            for future in wait(live, return_when=FIRST_COMPLETED).done:
                job = live.pop(future)
                reason = failure(future, job, output)
                if reason is None:
                    print_line(f"{job.folder.name}: {result(job.folder)} ({future.result().seconds:.0f} s)")
                    source.done(job)
                else:
                    failed.append(job.folder)
                    print_line(f"{job.folder.name}: failed {reason}")
    finally:
        backend.stop()
        for job in live.values():
            output.fetch(job.folder.name)


def failure(future: Future[Ended], job: Job, output: Output) -> str | None:
    """Return why a run that ended has failed, with the last lines of its log; None if it has its results.

    Raises:
        ValueError: its machine does not see the sweep or has no script.
    """
    error = future.exception()
    output.fetch(job.folder.name)
    if isinstance(error, (LostError, OSError)):
        return f"({error})"
    if error is not None:
        raise error
    ended = future.result()
    end = time.monotonic() + LATE_SECONDS
    while ended.finished and not is_finished(job.folder) and time.monotonic() < end:
        time.sleep(1.0)
    if ended.exit_status == 0 and is_finished(job.folder):
        return None
    reason = f"exit code {ended.exit_status}" if ended.exit_status else "it left no results"
    log = f"{output.shown}/{job.folder.relative_to(output.folder).as_posix()}/{LOG}"
    return f"({reason}, {ended.seconds:.0f} s); the last lines of {log}:\n{log_tail(job.folder)}"


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
