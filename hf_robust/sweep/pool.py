"""Runs in processes of this machine, each with GPUs of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from hf_robust.sweep.place import GPUS, Place


class Pool:
    """A backend whose threads start the processes of runs.

    Args:
        jobs: number of runs at a time; None: as many as have GPUs, and 1 without ``gpus_per_run``.
        gpus_per_run: GPUs of each run; None: all, also if several runs go at a time.

    Raises:
        ValueError: this machine has too few GPUs.
    """

    def __init__(self, jobs: int | None, gpus_per_run: float | None) -> None:
        shares: list[str | None]
        if gpus_per_run:
            shares = [*gpu_shares(visible_gpus(), gpus_per_run)]
            _check_room(jobs, gpus_per_run, len(shares))
        else:
            shares = [None if gpus_per_run is None else ""] * (jobs or 1)
        self.at_a_time = jobs or len(shares)
        self._shares: SimpleQueue[str | None] = SimpleQueue()
        for share in shares:
            self._shares.put(share)
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(self.at_a_time)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._threads.submit(self._call, function, arguments)

    def _call(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        share = self._shares.get()
        try:
            return function(*arguments, Place(share, self._stopping.is_set))
        finally:
            self._shares.put(share)

    def stop(self) -> None:
        self._stopping.set()
        self._threads.shutdown(cancel_futures=True)


def _check_room(jobs: int | None, gpus_per_run: float, room: int) -> None:
    if not room:
        raise ValueError(
            f"--gpus_per_run {gpus_per_run:g} is more than this machine has ({len(visible_gpus())} GPUs): give a "
            "smaller number, or leave it out."
        )
    if jobs is not None and jobs > room:
        raise ValueError(
            f"--jobs {jobs} with --gpus_per_run {gpus_per_run:g} is more than this machine has room for: give --jobs "
            f"{room} or less, or leave it out."
        )


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process may use, as in ``CUDA_VISIBLE_DEVICES``."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get(GPUS)
    return named.split(",")[:count] if named is not None else [str(number) for number in range(count)]


def gpu_shares(gpus: Sequence[str], per_run: float) -> list[str]:
    """Return the value of ``CUDA_VISIBLE_DEVICES`` of each run that has room: ``["0,1", "2,3"]`` for 4 GPUs, 2 a run.

    Runs that share a GPU are listed apart, so that the first runs get GPUs of their own.
    """
    if per_run < 1:
        return [*gpus] * int(1 / per_run + 1e-9)
    size = int(per_run)
    return [",".join(gpus[start : start + size]) for start in range(0, len(gpus) - size + 1, size)]
