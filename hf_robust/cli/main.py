"""The console command `hf-robust`: what there is, attack or interpret a checkpoint, compare runs, make lexicons."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from hf_robust import __version__
from hf_robust.cli.command import Answer, say

COMMANDS = {
    "methods": "List the training methods.",
    "attacks": "List the attacks.",
    "attack": "Attack a checkpoint, without training.",
    "certify": "Certify a checkpoint's vote over random substitutions.",
    "challenge": "Make a model's challenge set, one token of each text masked, and measure models on it.",
    "interpret": "What a model looks at, and how steadily.",
    "average": "Average a model with its taichi twin, and attack each average.",
    "check": "Flag the numbers of a run that should not be believed.",
    "report": "Compare runs: a table, and a report as one HTML page.",
    "sweep": "Train over a grid of flags or search for good ones, with tables and figures.",
    "lexicon": "Build, divide or preview a table of substitutes; look words up.",
}
"""Each is a module of this package, with ``add_flags`` and ``run``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit code is 2 after an error, which is one line on stderr, else what it answers."""
    given = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser(given)
    options, unknown = parser.parse_known_args(given)
    try:
        if unknown:
            options = parser.parse_args(_under_current_names(given))
        options.command_line = given
        answer = command_module(options.command).run(options)
    except ValueError as error:
        return say(f"hf-robust {options.command}", error)
    text, code = answer if isinstance(answer, Answer) else Answer(answer)
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    return code


def _under_current_names(given: Sequence[str]) -> list[str]:
    """The command line with flags under the names that they have now.

    Raises:
        ValueError: a flag is gone; the sentence says what to use now.
    """
    from hf_robust.data.legacy_flags import current_token

    return [current_token(token) for token in given]


def command_module(name: str) -> Any:
    """The module of a subcommand, imported when it is called: some need slow imports."""
    return import_module(f"hf_robust.cli.{name}")


def build_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the flags of the subcommand that is called are made."""
    parser = argparse.ArgumentParser(prog="hf-robust", description="Robust fine-tuning of text classifiers.")
    parser.add_argument("--version", action="version", version=f"hf_robust {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        subparser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name in given[:1]:
            command_module(name).add_flags(subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
