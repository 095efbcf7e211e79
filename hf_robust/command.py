"""What a subcommand of `hf-robust` is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple


class Answer(NamedTuple):
    """What a subcommand prints, and its exit code: 1 where what it was asked to look at is not as it should be."""

    text: str
    code: int = 0


def add_class_names(parser: argparse.ArgumentParser) -> None:
    """The flag that says which class of the model a label is."""
    parser.add_argument(
        "--class_names",
        nargs="+",
        metavar="NAME",
        help="Names of the classes: of the data's integer labels in their order, or, where the data has names, of the "
        "model's classes in theirs; LABEL_1 is the model's class 1. Default: the data's names, else the model's.",
    )


class Command(NamedTuple):
    """A subcommand: its one-line help, what adds its flags, and what runs it and returns the text to print."""

    help: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], str | Answer]
