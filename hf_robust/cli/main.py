"""The console command `hf-robust`: its subcommands, and the function that runs one of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hf_robust import __version__
from hf_robust.cli.command import CommandResult, leave
from hf_robust.cli.flags import shorten_usage
from hf_robust.cli.ranks import check_ranks, on_ranks, report_failure, started_ranks

if TYPE_CHECKING:
    from hf_robust.runs import Ranks

COMMANDS = {
    "init": "Write the args file of the demo, which trains a small model in a few minutes without network.",
    "train": "Train a classifier robustly: run_glue_robust.py, with all its flags.",
    "methods": "List the training methods.",
    "attacks": "List the attacks.",
    "suggest": "Name the methods to try on your data, by what was measured on the most similar task.",
    "attack": "Attack a checkpoint or any other classifier, without training.",
    "certify": "Certify that no word swaps change the prediction of a checkpoint's vote over random substitutions.",
    "challenge": "Mask one token in each text by the gradients of a model, and measure models on these texts.",
    "trigger": "Find the few words that fool a model in front of any text of a class, and measure them on other rows.",
    "interpret": "Explain predictions: word attributions, distances of texts, errors by slice.",
    "average": "Average the weights of a model and of its taichi twin, and attack each average.",
    "check": "Flag numbers of a run that should not be believed.",
    "report": "Compare runs in a table or in a report, which is one HTML page.",
    "leaderboard": "Rank runs measured by one standard evaluation, on one page with a JSON file beside it.",
    "sweep": "Train many runs over a grid of flags, or search for good values, with tables and figures.",
    "reproduce": "Make a table or figure of a paper, at its own size or smaller.",
    "lexicon": "Build, convert, split or preview a table of substitutes, or look up words.",
}
"""Subcommand -> its help. Each is a module of this package with ``add_flags`` and ``run`` (train: ``run_script``)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code: 2 after an error, which is one line on stderr, else its own.

    Of several ranks, each ends its process here.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["train"]:
        command_module("train").run_script(arguments[1:])
    name = " ".join(["hf-robust", *arguments[:1]])
    if started_ranks() > 1:
        leave(on_ranks(name, lambda ranks: run_command(arguments, ranks)))
    try:
        return run_command(arguments)
    except (ValueError, KeyboardInterrupt) as error:
        return report_failure(name, error)


def run_command(arguments: Sequence[str], ranks: Ranks | None = None) -> int:
    """Run one subcommand, print its text, and return its exit code.

    Raises:
        ValueError: wrong input.
    """
    parser = build_parser(arguments)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        options = parser.parse_args(_under_current_names(arguments))
    options.command_line = list(arguments)
    if ranks is not None:
        check_ranks(options, ranks.number)
        options.ranks = ranks
    result = command_module(options.command).run(options)
    text, code = result if isinstance(result, CommandResult) else CommandResult(result)
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
    """Import the module of a subcommand; only when it is called, since some need slow imports."""
    return import_module(f"hf_robust.cli.{name}")


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser, with the flags of only the subcommand that ``arguments`` call."""
    parser = argparse.ArgumentParser(prog="hf-robust", description="Robust fine-tuning of text classifiers.")
    parser.add_argument("--version", action="version", version=f"hf_robust {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        subparser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name in arguments[:1]:
            command_module(name).add_flags(subparser)
            shorten_usage(subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
