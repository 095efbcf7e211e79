"""Runs on the machines of a Ray cluster."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from hf_robust.sweep.place import TERMINATION_SECONDS, LostError, Place

RETRIES = 3
"""How often a run is begun again after its machine was lost."""
CPU, GPU = "CPU", "GPU"
ADDRESS, STATISTICS = "RAY_ADDRESS", "RAY_USAGE_STATS_ENABLED"
KNOCK_SECONDS = 10.0


class Cluster:
    """A backend whose calls are Ray tasks, each with one processor and its GPUs.

    Args:
        address: address of the cluster; None: ``RAY_ADDRESS``, else the Ray of this machine, which is started if there
            is none.
        jobs: number of runs at a time; None: as many as Ray has room for.
        gpus_per_run: GPUs of each run; None: 1 if the cluster has GPUs.
        one_by_one: whether only as many calls as have room now may be submitted. Otherwise Ray queues them all, and
            machines that join later get some.

    Raises:
        ValueError: Ray is not installed, no cluster answers, or no machine has enough GPUs.
    """

    def __init__(self, address: str | None, jobs: int | None, gpus_per_run: float | None, one_by_one: bool) -> None:
        self._ray = connected(address)
        try:
            machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            gpus = float(any(GPU in machine for machine in machines)) if gpus_per_run is None else gpus_per_run
            room = sum(room_of(machine, gpus) for machine in machines)
            if not room:
                raise ValueError(
                    f"no machine of the Ray cluster has a processor and {gpus:g} GPUs (--gpus_per_run): give a "
                    "smaller number, or add a machine."
                )
        except BaseException:
            self._ray.shutdown()
            raise
        self.at_a_time = jobs or (room if one_by_one else sys.maxsize)
        self._call = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(call)
        self._gpus = None if gpus else ""
        self._live: list[Any] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        reference = self._call.remote(function, arguments, self._gpus)
        self._live.append(reference)
        future: Future[Any] = Future()

        def pass_on(answer: Future[Any]) -> None:
            self._live.remove(reference)
            error = answer.exception()
            if error is None:
                future.set_result(answer.result())
            else:
                future.set_exception(cause_of(error))

        reference.future().add_done_callback(pass_on)
        return future

    def stop(self) -> None:
        if not self._ray.is_initialized():
            return
        live = list(self._live)
        for reference in live:
            self._ray.cancel(reference)
        if live:
            self._ray.wait(live, num_returns=len(live), timeout=2 * TERMINATION_SECONDS)
        self._ray.shutdown()


def call(function: Callable[..., Any], arguments: Sequence[Any], gpus: str | None) -> Any:
    """Call a function on a machine of the cluster; Ray has set its GPUs, unless it is to have none."""
    return function(*arguments, Place(gpus))


def connected(address: str | None) -> Any:
    """Return the module ``ray``, connected to a cluster.

    Raises:
        ValueError: Ray is not installed, does not start, or no cluster answers.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            '--backend ray needs ray, which is not installed: pip install "hf_robust[ray]", or leave it out.'
        ) from error
    os.environ.setdefault(STATISTICS, "0")  # a Ray that this starts tells nobody
    named = address or os.environ.get(ADDRESS)
    try:
        _knock(named)
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray raises a plain Exception where it does not start in time
        ray.shutdown()
        what = f"no Ray cluster answers at {named}" if named else "Ray does not start on this machine"
        raise ValueError(
            f"{what} ({str(error).splitlines()[0].rstrip('.')}): start one by `ray start --head`, and give its "
            "--address, or leave --backend out."
        ) from error
    return ray


def _knock(address: str | None) -> None:
    """Try the address of a cluster: Ray itself gives up after many minutes only.

    Raises:
        OSError: nobody answers.
    """
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.rpartition("/")[2], int(port)), KNOCK_SECONDS).close()


def room_of(machine: dict[str, float], gpus: float) -> int:
    """Return the number of runs that a machine has room for, by its resources."""
    if not gpus:
        return int(machine.get(CPU, 0))
    owned = int(machine.get(GPU, 0))
    return min(int(machine.get(CPU, 0)), owned * int(1 / gpus + 1e-9) if gpus < 1 else owned // int(gpus))


def cause_of(error: BaseException) -> BaseException:
    """Return what was raised in a task, or a `LostError` if its machine was lost."""
    from ray.exceptions import RayError, RayTaskError

    if isinstance(error, RayTaskError):
        cause = error.cause
        return cause if isinstance(cause, BaseException) else error
    if isinstance(error, RayError):
        return LostError(f"its machine was lost {RETRIES + 1} times: {str(error).splitlines()[0]}")
    return error
