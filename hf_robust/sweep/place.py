"""What a backend is, and the place that it gives to a run: its GPUs, and the order to stop."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

POLL_SECONDS = 0.1
TERMINATION_SECONDS = 10.0
"""Time that a process has to end before it is killed."""
GPUS = "CUDA_VISIBLE_DEVICES"


def never() -> bool:
    """Never stop."""
    return False


@dataclass(frozen=True)
class Place:
    """Starts the processes of a run.

    Args:
        gpus: value of ``CUDA_VISIBLE_DEVICES``; None leaves it as it is.
        is_stopped: whether the run is to stop.
    """

    gpus: str | None = None
    is_stopped: Callable[[], bool] = field(default=never)

    def pause(self) -> None:
        """Sleep for a moment.

        Raises:
            KeyboardInterrupt: the run is to stop.
        """
        if self.is_stopped():
            raise KeyboardInterrupt
        time.sleep(POLL_SECONDS)

    def execute(
        self,
        command: Sequence[str],
        log: Path,
        folder: Path,
        variables: Mapping[str, str] | None = None,
        kept_open: Sequence[int] = (),
        meanwhile: Callable[[], None] | None = None,
    ) -> int:
        """Run a command to its end with its output in the log file, and return its exit status.

        An interruption ends the process too.

        Args:
            folder: working folder of the process.
            variables: further environment variables.
            kept_open: file descriptors that the process keeps open.
            meanwhile: called again and again while the process lives.
        """
        environment = {**os.environ, **({} if self.gpus is None else {GPUS: self.gpus}), **(variables or {})}
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                pass_fds=tuple(kept_open),
            )
        try:
            while process.poll() is None:
                self.pause()
                if meanwhile is not None:
                    meanwhile()
        finally:
            stop(process)
        return process.returncode


def stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, and kill it if it does not end."""
    process.terminate()
    try:
        process.wait(TERMINATION_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- what gives places ----


class LostError(Exception):
    """A run was lost with its machine, again and again."""


class Backend(Protocol):
    """Calls functions elsewhere, several at a time."""

    at_a_time: int
    """Number of calls that may be submitted at a time."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call ``function(*arguments, place)`` and return its future result.

        The future has a `LostError` if the machine of the call was lost too often.
        """

    def stop(self) -> None:
        """Interrupt all calls and wait until they end."""
