"""Starts a script on two ranks of this machine, as a user does by torchrun."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
TESTS = Path(__file__).parent
ABORTED = "(SIGABRT)"
"""What torchrun says of a rank that native code ended; an error in Python never ends one so."""


def environment(*folders: Path, **more: str) -> dict[str, str]:
    """Variables of a rank, which imports the project, modules of the tests, and those of further folders."""
    paths = os.pathsep.join(map(str, (TESTS.parent, TESTS, *folders)))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", "PYTHONPATH": paths, **more}


def on_two_ranks(
    script: Path, *words: str, output: Path, code: int = 0, imports: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a script on two ranks until it ends; returns what it printed.

    The threads in which torch sends tensors between CPUs (gloo) abort a process once in some tens of starts. The start
    is then repeated once, with a warning that has the stacks of the aborted rank.

    Args:
        output: folder that it writes, empty before each start.
        code: its exit status; another one fails.
        imports: further folders that it imports from.
    """
    for last in (False, True):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        # It must end by itself: a rank that waits for a failed one would wait until the timeout.
        ended = subprocess.run(
            [*LAUNCH, str(script), *words], env=environment(*imports), capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        if last or ABORTED not in ended.stderr:
            break
        warnings.warn(f"{script.name} was aborted and starts again: {ended.stderr[:6000]}", stacklevel=2)
    # The first error, not the errors of ranks that waited for the one which had it.
    assert ended.returncode == code, ended.stderr[:8000]
    return ended
