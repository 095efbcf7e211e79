"""Where runs are done: processes of this machine, or the machines of a Ray cluster. The flags that choose."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from hf_robust.sweep.place import Backend

PROCESSES, RAY = "processes", "ray"


def add_backend_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say where runs are done, and how many at a time."""
    parser.add_argument(
        "--backend",
        choices=(PROCESSES, RAY),
        default=PROCESSES,
        help="Where the runs are done: processes of this machine (default), or ray, the machines of a Ray cluster.",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="The Ray cluster. Default: RAY_ADDRESS, else the Ray of this machine, which is started if there is none.",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="Number of runs at a time. Default: as many as --gpus_per_run or Ray has room for, else 1.",
    )
    parser.add_argument(
        "--gpus_per_run",
        type=float,
        metavar="N",
        help="GPUs of each run: 0, a whole number, or a part of one GPU such as 0.5. Default: with Ray 1 if the "
        "cluster has GPUs, else all GPUs of this machine.",
    )


@contextmanager
def opened_backend(options: argparse.Namespace, one_by_one: bool = False) -> Iterator[Backend]:
    """Yield the backend that the flags name; at the end, what is left of its calls is stopped.

    Args:
        one_by_one: whether a run may depend on the results of others, so that no more than have room are begun.

    Raises:
        ValueError: a flag is wrong, or the machines lack what it asks for.
    """
    check_backend_flags(options)
    backend: Backend
    if options.backend == RAY:
        from hf_robust.sweep.cluster import Cluster

        backend = Cluster(options.address, options.jobs, options.gpus_per_run, one_by_one)
    else:
        from hf_robust.sweep.pool import Pool

        backend = Pool(options.jobs, options.gpus_per_run)
    try:
        yield backend
    finally:
        backend.stop()


def check_backend_flags(options: argparse.Namespace) -> None:
    """Check the flags of `add_backend_flags`.

    Raises:
        ValueError: a flag is wrong.
    """
    if options.jobs is not None and options.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {options.jobs}.")
    if options.address is not None and options.backend != RAY:
        raise ValueError(f"--address {options.address} is of a Ray cluster: add --backend {RAY}, or leave it out.")
    gpus = options.gpus_per_run
    if gpus is not None and (gpus < 0 or (gpus > 1 and not gpus.is_integer())):
        raise ValueError(f"--gpus_per_run must be 0, a whole number, or a part of one GPU such as 0.5, got {gpus:g}.")
