"""Measures a piece of work: wall-clock and processor seconds, memory, and GPU utilisation."""

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
class Usage:
    """Time and memory of a piece of work; filled when the work is over.

    ``cpu_seconds`` are those of the process, over all threads; they vary less than wall-clock seconds if other work
    shares the machine. Memory is the resident set of the process, sampled every 50 ms. ``utilization`` is the mean of
    ``torch.cuda.utilization`` in percent; None on a CPU, or if it is not available.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    rss_mb_before: float = 0.0
    rss_mb_peak: float = 0.0
    utilization: float | None = None
    shares: list[float] = field(default_factory=list, repr=False)

    def to_json(self) -> Row:
        """All fields but the single samples, JSON-ready."""
        return {name: getattr(self, name) for name in (*CLOCKS, "rss_mb_before", "rss_mb_peak", "utilization")}


@contextmanager
def stopwatch(device: torch.device) -> Iterator[Usage]:
    """Time the block. Waits for the GPU before the block and at its end."""
    usage = Usage(rss_mb_before=_rss_mb(), rss_mb_peak=_rss_mb())
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(usage, over, device), daemon=True)
    wait_for(device)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield usage
    finally:
        wait_for(device)
        usage.seconds, usage.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        over.set()
        watcher.join()
        usage.rss_mb_peak = max(usage.rss_mb_peak, _rss_mb())
        usage.utilization = statistics.fmean(usage.shares) if usage.shares else None


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has finished its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def _watch(usage: Usage, over: threading.Event, device: torch.device) -> None:
    asks_gpu = device.type == "cuda"
    while not over.wait(INTERVAL):
        usage.rss_mb_peak = max(usage.rss_mb_peak, _rss_mb())
        if asks_gpu:
            try:
                usage.shares.append(float(torch.cuda.utilization(device)))
            except (ModuleNotFoundError, RuntimeError) as error:
                print(f"GPU utilisation is not available: {error}.")
                asks_gpu = False


def mean_row(rows: Sequence[Row]) -> Row:
    """Mean of the rows of several rounds; counts that are equal in all rounds stay whole numbers."""
    first = rows[0]
    return {name: _mean_value([row[name] for row in rows]) for name in first}


def _mean_value(values: list[Any]) -> Any:
    if any(value != values[0] for value in values) and all(isinstance(value, (int, float)) for value in values):
        return statistics.fmean(values)
    return values[0]


def ratio_of_times(numerator: Mapping[str, Any], denominator: Mapping[str, Any], per: str | None = None) -> Row:
    """Ratio of seconds, by each clock. ``per`` names a count that each is divided by first."""
    ratios = {}
    for clock in CLOCKS:
        above, below = (row[clock] / (row[per] if per else 1) for row in (numerator, denominator))
        ratios[clock] = above / below if below else None
    return ratios


def machine(device: torch.device) -> Row:
    """Number of processors, threads that torch may use, and the device."""
    description: Row = {"cpu_count": os.cpu_count(), "threads": torch.get_num_threads(), "device": device.type}
    return description | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})


def load_average() -> list[float] | None:
    """Load average of the last 1, 5 and 15 minutes; None if the system does not provide it."""
    return [round(minutes, 2) for minutes in os.getloadavg()] if hasattr(os, "getloadavg") else None
