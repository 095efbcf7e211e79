"""Starts a script on two ranks of this machine, as a user does by torchrun."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
TESTS = Path(__file__).parent
ABORTED = ("(SIGABRT)", "(SIGSEGV)")
"""What torchrun says of a rank that native code ended; an error in Python never ends one so."""


def environment(*folders: Path, **more: str) -> dict[str, str]:
    """Variables of a rank, which imports the project, modules of the tests, and those of further folders."""
    paths = os.pathsep.join(map(str, (TESTS.parent, TESTS, *folders)))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", "PYTHONPATH": paths, **more}


def on_two_ranks(
    script: Path | str, *words: str, output: Path, code: int = 0, imports: Sequence[Path] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a script on two ranks until it ends; returns what it printed.

    Native code has aborted a rank in the middle of training, for a reason that is not known. The start is then
    repeated once, with a warning that has the stacks of the aborted rank.

    Args:
        script: its path, or the name of a module.
        output: folder that it writes, empty before each start.
        code: its exit status; another one fails.
        imports: further folders that it imports from.
        more: further environment variables.
    """
    start = ["-m", script] if isinstance(script, str) else [str(script)]
    for last in (False, True):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        # It must end by itself: a rank that waits for a failed one would wait until the timeout.
        ended = subprocess.run(
            [*LAUNCH, *start, *words], env=environment(*imports, **more), capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        if last or not any(signal in ended.stderr for signal in ABORTED):
            break
        warnings.warn(f"{start[-1]} was aborted and starts again: {first_error(ended.stderr)}", stacklevel=2)
    assert ended.returncode == code, first_error(ended.stderr)
    return ended


def first_error(stderr: str) -> str:
    """The first error and what follows it, without the warnings before it."""
    start = re.search("terminate called|Fatal Python error|Traceback", stderr)
    return stderr[start.start() if start else 0 :][:6000]
