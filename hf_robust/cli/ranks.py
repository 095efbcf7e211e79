"""Commands on several ranks, as torchrun and `accelerate launch` start them: one rank prints, one reports an error."""

from __future__ import annotations

import argparse
import atexit
import os
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from hf_robust.cli.command import report_error

if TYPE_CHECKING:
    from hf_robust.runs import Ranks

SHARED = ("attack", "certify", "interpret consistency", "interpret words")
"""The commands that several ranks can share."""
LONGEST_WAIT = timedelta(days=30)
"""Ranks wait for the slowest one. A rank that ended is noticed by its launcher, not by this limit."""
_FAILED = "hf_robust/failed"


def started_ranks() -> int:
    """Number of processes that a launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def check_ranks(options: argparse.Namespace, count: int) -> None:
    """Refuse several ranks for a command that cannot share its work, and one GPU for all of them.

    Raises:
        ValueError: the command runs in one process, or --device names one GPU.
    """
    name = " ".join(filter(None, (options.command, getattr(options, "task", None))))
    if count == 1:
        return
    if name not in SHARED:
        raise ValueError(
            f"{name} runs in one process, and {count} were started: start it without torchrun or accelerate launch "
            f"(those that share their work are {', '.join(SHARED)})."
        )
    device = options.device or ""
    if ":" in device:
        raise ValueError(
            f"--device {device} would put all {count} ranks on one device: leave it out, and each rank takes the "
            "GPU of its LOCAL_RANK."
        )


def on_ranks(name: str, run: Callable[[Ranks], int]) -> int:
    """Run a command on each rank, and return the exit code.

    The ranks exchange results by gloo, also those with a GPU: the results are in the memory of the host, and two ranks
    may share a GPU, which NCCL does not allow. What other ranks than 0 print is dropped. Of the ranks that fail, the
    first one reports its error; the launcher ends the others.

    Args:
        name: the command, for errors.
        run: the command; returns its exit code.
    """
    stderr = os.dup(2)
    if not _is_rank_0():
        _drop_output()
    try:
        ranks = _joined()
        try:
            code = run(ranks)
        except SystemExit as end:  # --help, or a wrong flag: all ranks are here, and rank 0 has printed it
            code = end.code if isinstance(end.code, int) else 1
            ranks.gather(None)
    except BaseException as error:
        if not is_reported(error):
            return 1
        os.dup2(stderr, 2)
        return report_failure(name, error)
    return code


def _joined() -> Ranks:
    """Join the process group, and make the GPU of this rank the default GPU."""
    import torch
    from accelerate import PartialState

    from hf_robust.runs import Ranks

    state = PartialState(cpu=True, backend="gloo", timeout=LONGEST_WAIT)
    atexit.register(state.destroy_process_group)
    if torch.cuda.is_available():
        # Ranks share GPUs if there are more ranks than GPUs.
        torch.cuda.set_device(state.local_process_index % torch.cuda.device_count())
    return Ranks(state.process_index, state.num_processes)


def report_failure(name: str, error: BaseException) -> int:
    """Report an error on stderr, wrong input and an interruption in one line, and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        error = ValueError(
            "interrupted; the same command continues if it keeps a journal (attack, average, certify, sweep), else it "
            "starts anew."
        )
    if isinstance(error, ValueError):
        return report_error(name, error)
    traceback.print_exception(error)
    return 1


def _is_rank_0() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _drop_output() -> None:
    """Drop what this process writes to stdout and stderr, also from C++ code and through handlers that exist."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def is_reported(error: BaseException) -> bool:
    """Whether this rank reports its error: no other rank has failed before, or that cannot be known.

    Counts the failure in the store of the process group, which is at the launcher or at rank 0.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        return int(store.add(f"{_FAILED}/{attempt}", 1)) == 1
    except (KeyError, RuntimeError):  # there is no store, or it ended with rank 0, or does not answer
        from hf_robust.runs import RankEndedError

        # An error that comes twice is better than none; what all ranks notice is reported by rank 0.
        return _is_rank_0() or not isinstance(error, (RankEndedError, KeyboardInterrupt))
