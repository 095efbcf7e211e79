"""`hf-robust interpret`: what a model looks at, and how steadily; one file for each group of tasks."""

from __future__ import annotations

import argparse

from hf_robust.cli.command import Answer


def add_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.interpret.tasks import TASKS

    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, task in TASKS.items():
        task.add_flags(tasks.add_parser(name, help=task.help, description=task.help, allow_abbrev=False))


def run(options: argparse.Namespace) -> str | Answer:
    """Run one of its tasks."""
    from hf_robust.cli.interpret.tasks import TASKS
    from hf_robust.runs import require_writable

    if options.output_dir is not None:
        require_writable(options.output_dir)
    return TASKS[options.task].run(options)
