"""Subcommands of `hf-robust`: their type, their result, and how wrong input is reported."""

from __future__ import annotations

import argparse
import atexit
import dis
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

WRONG_INPUT = 2
"""Exit code after wrong input."""
_REPORTING_PACKAGES = ("hf_robust", "run_glue_robust", "__main__", "transformers")
"""Packages whose ``raise ValueError`` reports wrong input."""


def report_error(name: str, error: ValueError) -> int:
    """Print an error on stderr as one line that begins with the command's name, and return the exit code.

    Under torchrun the line names the rank. With ``--log_level debug`` the traceback comes first.
    """
    if logging.getLogger("hf_robust").isEnabledFor(logging.DEBUG) or _asks_for_debug(sys.argv):
        traceback.print_exception(error)
    rank = f" (rank {os.environ.get('RANK')})" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""
    sys.stderr.write(f"{name}{rank}: {' '.join(str(error).split())}\n")
    return WRONG_INPUT


def exit_code_of(name: str, run: Callable[[], object]) -> int:
    """Run a command and return its exit code.

    A ``ValueError`` about wrong input becomes one line on stderr. Any other error is a defect and keeps its traceback.
    """
    try:
        run()
    except ValueError as error:
        if not _is_about_input(error):
            raise
        return report_error(name, error)
    return 0


def leave(code: int) -> NoReturn:
    """End the process.

    A thread of the process group may still run when the interpreter shuts down, and then abort the rank. So a rank
    runs its exit handlers and ends the process immediately.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _is_about_input(error: ValueError) -> bool:
    """Whether a ``raise`` statement of hf_robust or transformers made the error, and not a call that failed inside."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None:
        return False
    package = str(innermost.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    operation = dis.opname[innermost.tb_frame.f_code.co_code[innermost.tb_lasti]]
    return package in _REPORTING_PACKAGES and operation == "RAISE_VARARGS"


def _asks_for_debug(arguments: list[str]) -> bool:
    # Reads the command line itself: parsing may have failed.
    return "--log_level=debug" in arguments or ("--log_level", "debug") in zip(arguments, arguments[1:], strict=False)


class CommandResult(NamedTuple):
    """The text that a subcommand prints, and its exit code: 1 if a check found a problem."""

    text: str
    code: int = 0


class Command(NamedTuple):
    """A subcommand: its help in one line, a function that adds its flags, and one that runs it."""

    help: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], str | CommandResult]


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Format rows of cells as text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
