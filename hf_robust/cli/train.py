"""`hf-robust train`: run run_glue_robust.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

PROGRAM = "hf-robust train"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the script parses its flags itself, since they depend on --robust_method."""


def run_script(arguments: Sequence[str]) -> NoReturn:
    """Run the script and end the process, with exit code 2 after wrong input, which is one line on stderr."""
    import run_glue_robust

    sys.argv = [PROGRAM, *arguments]  # read by the help and by `--log_level debug`
    run_glue_robust.command(PROGRAM)
