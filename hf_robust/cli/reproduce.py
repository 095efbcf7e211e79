"""`hf-robust reproduce`: make a table or figure of a paper, at its own size or smaller."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_robust.reproduce.plan import Plan
    from hf_robust.sweep.output import Output
    from hf_robust.sweep.place import Backend

SCALES = ("tiny", "small", "base", "paper")


def add_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.sweep.backends import add_backend_flags

    parser.add_argument(
        "paper", nargs="?", type=str.lower, metavar="PAPER", help="Paper: adaptat, bat, flat, gradmask or taichi."
    )
    parser.add_argument(
        "item", nargs="?", type=item_name, metavar="ITEM", help="Table or figure, such as table2 or figure3."
    )
    parser.add_argument("--list", action="store_true", help="List the items, and the scales at which they were run.")
    parser.add_argument(
        "--scale",
        choices=SCALES,
        default="tiny",
        help="Size: another model, fewer rows, epochs and attacked rows than the paper's; paper is its own. "
        "Default: tiny.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="Folder with data sets (sst2/train.jsonl.gz, ...) and tables of substitutes (resources/). Default: data "
        "sets come from the Hub, as always at --scale paper.",
    )
    parser.add_argument(
        "--model", metavar="MODEL", help="Folder or Hub id in place of the model of a scale below the paper's."
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="Seeds in place of the item's, such as more of them."
    )
    parser.add_argument(
        "--output_dir",
        metavar="DIR",
        help="Folder for runs, page and numbers; items of one paper and scale share runs there, or an fsspec address. "
        "Default: output/reproduce/<PAPER>-<scale>.",
    )
    parser.add_argument("--dry_run", action="store_true", help="Check and list the runs with estimated hours.")
    parser.add_argument(
        "--script", type=Path, metavar="FILE", help="Script to run. Default: run_glue_robust.py, as hf-robust sweep."
    )
    add_backend_flags(parser)


def item_name(text: str) -> str:
    """The name of an item as a paper prints it.

    >>> [item_name(text) for text in ("Table 2", "Fig. 3", "figure3")]
    ['table2', 'figure3', 'figure3']
    """
    name = "".join(text.lower().split())
    return re.sub(r"^fig\.?(?=\d)", "figure", name)


def run(options: argparse.Namespace) -> str:
    """Do the missing runs of an item and return its table.

    Raises:
        ValueError: there is no such item, something that it needs is missing (then nothing has run), or runs failed.
    """
    from hf_robust.reproduce.item import items, read_item, with_seeds
    from hf_robust.reproduce.layouts import READ_MODELS, missing_tool
    from hf_robust.reproduce.listing import dry_run, table_of_items
    from hf_robust.reproduce.needs import require_needs
    from hf_robust.reproduce.plan import Plan
    from hf_robust.reproduce.scale import scale_of
    from hf_robust.sweep.backends import check_backend_flags
    from hf_robust.sweep.copies import is_address

    if options.list:
        return table_of_items(options.paper, options.item)
    if options.paper is None or options.item is None:
        known = options.paper and f" of {options.paper}: {', '.join(items(options.paper))}"
        raise ValueError(f"name a paper and one of its items{known or ''}; --list shows all.")
    check_backend_flags(options)
    item = with_seeds(read_item(options.paper, options.item), options.seeds)
    plan = Plan(item, scale_of(item, options.scale), options.data, options.model)
    address = options.output_dir or f"output/reproduce/{options.paper}-{options.scale}"
    sentence = missing_tool(plan.item)
    if options.dry_run:
        return sentence or dry_run(plan, address)
    if sentence is not None:
        raise ValueError(sentence)
    if plan.item.layout in READ_MODELS and is_address(address):
        raise ValueError(
            f"{plan.item.name} is made from the models of its runs: give --output_dir a folder, got {address}."
        )
    plan.check()
    require_needs([point.flags for point in plan.points.values()], options.data)
    return _reproduced(plan, options, address)


def _reproduced(plan: Plan, options: argparse.Namespace, address: str) -> str:
    from hf_robust.sweep.backends import opened_backend
    from hf_robust.sweep.jobs import interrupted_by_sigterm
    from hf_robust.sweep.output import opened_output
    from hf_robust.sweep.runs import find_script

    script = find_script(options.script)
    with opened_output(address) as output, opened_backend(options) as backend, interrupted_by_sigterm():
        return run_item(plan, output, backend, script)


def run_item(plan: Plan, output: Output, backend: Backend, script: Path) -> str:
    """Do the missing runs and write the item's page.

    Raises:
        ValueError: runs failed or were interrupted; the page has the others.
    """
    from hf_robust.cli.sweep import print_line
    from hf_robust.reproduce.page import write_item
    from hf_robust.reproduce.results import Results, result_line
    from hf_robust.sweep.jobs import GridJobs, run_jobs

    source = GridJobs(list(plan.points.values()), output.folder, plan.files)
    print_line(source.describe())
    try:
        failed = run_jobs(source, output, backend, script, lambda folder: result_line(plan, folder), print_line)
    except KeyboardInterrupt:
        write_item(Results(plan, output.folder))
        raise ValueError(
            f"interrupted: {output.shown}/{plan.item.name}.html has the finished runs; run the same command again "
            "to do the others."
        ) from None
    text = write_item(Results(plan, output.folder))
    written = f"{output.shown}/{plan.item.name}"
    if failed:
        sys.stdout.write(text)
        names = ", ".join(folder.name for folder in failed)
        raise ValueError(
            f"{len(failed)} of {len(plan.points)} runs failed: {names}. Read their _log.txt in {output.shown}/runs, "
            "and run the same command again to repeat them."
        )
    return f"{text}\nPage, text and numbers: {written}.html, .md and .json."
