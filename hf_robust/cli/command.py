"""What a subcommand of `hf-robust` is, and how a command says that what it was given is wrong."""

from __future__ import annotations

import argparse
import dis
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

WRONG_INPUT = 2
"""Exit code after an error that is one sentence."""
_TELLING = ("hf_robust", "run_glue_robust", "__main__", "transformers")
"""Packages that raise a ``ValueError`` to say what is wrong with what they were given."""


def say(name: str, error: ValueError) -> int:
    """Print an error on stderr as one line that begins with the command's name; the exit code.

    Under torchrun the line says which rank it is of. With ``--log_level debug`` the traceback comes first.
    """
    if logging.getLogger("hf_robust").isEnabledFor(logging.DEBUG) or _asks_for_debug(sys.argv):
        traceback.print_exception(error)
    rank = f" (rank {os.environ.get('RANK')})" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""
    sys.stderr.write(f"{name}{rank}: {' '.join(str(error).split())}\n")
    return WRONG_INPUT


def told(name: str, run: Callable[[], object]) -> int:
    """Run a command; its exit code.

    A ``ValueError`` that was raised on purpose, about what was given, is one line. One from deeper down is a defect,
    and keeps its traceback as other errors do.
    """
    try:
        run()
    except ValueError as error:
        if not _was_raised_to_tell(error):
            raise
        return say(name, error)
    return 0


def _was_raised_to_tell(error: ValueError) -> bool:
    """Whether a ``raise`` of ours or of transformers made the error, and not a call that met what it cannot take."""
    found = error.__traceback__
    while found is not None and found.tb_next is not None:
        found = found.tb_next
    if found is None:
        return False
    package = str(found.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    operation = dis.opname[found.tb_frame.f_code.co_code[found.tb_lasti]]
    return package in _TELLING and operation == "RAISE_VARARGS"


def _asks_for_debug(arguments: list[str]) -> bool:
    # Before the flags are parsed, and so also where that fails.
    return "--log_level=debug" in arguments or ("--log_level", "debug") in zip(arguments, arguments[1:], strict=False)


class Answer(NamedTuple):
    """What a subcommand prints, and its exit code: 1 where what it was asked to look at is not as it should be."""

    text: str
    code: int = 0


class Command(NamedTuple):
    """A subcommand: its one-line help, what adds its flags, and what runs it and returns the text to print."""

    help: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], str | Answer]


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
