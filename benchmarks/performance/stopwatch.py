"""What a piece of work costs: wall-clock and processor seconds, memory, and how busy the GPU was."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

INTERVAL = 0.05
CLOCKS = ("seconds", "cpu_seconds")
Row = dict[str, Any]


@dataclass
class Spent:
    """Filled when the work is over.

    ``cpu_seconds`` are the process's, over all threads: where other work shares the machine they are the steadier
    measure. Memory is the process's resident set, looked at every 50 ms. ``utilization`` is the mean percentage that
    ``torch.cuda.utilization`` told; None on a CPU, or where it cannot tell.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    rss_mb_before: float = 0.0
    rss_mb_peak: float = 0.0
    utilization: float | None = None
    shares: list[float] = field(default_factory=list, repr=False)

    def to_json(self) -> Row:
        return {name: getattr(self, name) for name in (*CLOCKS, "rss_mb_before", "rss_mb_peak", "utilization")}


@contextmanager
def stopwatch(device: torch.device) -> Iterator[Spent]:
    """Time the block. What a GPU was given before it is waited for first, what the block gave it at its end."""
    spent = Spent(rss_mb_before=_rss_mb(), rss_mb_peak=_rss_mb())
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(spent, over, device), daemon=True)
    wait_for(device)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield spent
    finally:
        wait_for(device)
        spent.seconds, spent.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        over.set()
        watcher.join()
        spent.rss_mb_peak = max(spent.rss_mb_peak, _rss_mb())
        spent.utilization = statistics.fmean(spent.shares) if spent.shares else None


def wait_for(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def _watch(spent: Spent, over: threading.Event, device: torch.device) -> None:
    asks_gpu = device.type == "cuda"
    while not over.wait(INTERVAL):
        spent.rss_mb_peak = max(spent.rss_mb_peak, _rss_mb())
        if asks_gpu:
            try:
                spent.shares.append(float(torch.cuda.utilization(device)))
            except (ModuleNotFoundError, RuntimeError) as error:
                print(f"The card's utilisation is not known: {error}.")
                asks_gpu = False


def mean(rows: Sequence[Row]) -> Row:
    """The rounds of one piece of work as one row: means, but counts equal in all rounds stay whole numbers."""
    first = rows[0]
    return {name: _mean([row[name] for row in rows]) for name in first}


def _mean(values: list[Any]) -> Any:
    if any(value != values[0] for value in values) and all(isinstance(value, (int, float)) for value in values):
        return statistics.fmean(values)
    return values[0]


def times(numerator: Mapping[str, Any], denominator: Mapping[str, Any], per: str | None = None) -> Row:
    """How many times the seconds, by each clock, the numerator took; ``per`` divides each by a count first."""
    found = {}
    for clock in CLOCKS:
        above, below = (one[clock] / (one[per] if per else 1) for one in (numerator, denominator))
        found[clock] = above / below if below else None
    return found


def machine(device: torch.device) -> Row:
    """Processors, the threads that torch may use, and the device."""
    found: Row = {"cpu_count": os.cpu_count(), "threads": torch.get_num_threads(), "device": device.type}
    return found | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})


def load_average() -> list[float] | None:
    """Of the last 1, 5 and 15 minutes; None where the system does not tell."""
    return [round(one, 2) for one in os.getloadavg()] if hasattr(os, "getloadavg") else None
