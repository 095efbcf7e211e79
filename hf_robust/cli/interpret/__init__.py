"""`hf-robust interpret`: explain predictions of models; one file for each group of tasks."""

from __future__ import annotations

import argparse

from hf_robust.cli.command import CommandResult
from hf_robust.cli.flags import shorten_usage


def add_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.interpret.tasks import TASKS

    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, task in TASKS.items():
        subparser = tasks.add_parser(name, help=task.help, description=task.help, allow_abbrev=False)
        task.add_flags(subparser)
        shorten_usage(subparser)


def run(options: argparse.Namespace) -> str | CommandResult:
    """Run one of the tasks."""
    from hf_robust.cli.interpret.tasks import TASKS
    from hf_robust.runs import require_writable

    if options.output_dir is not None:
        require_writable(options.output_dir)
    return TASKS[options.task].run(options)
