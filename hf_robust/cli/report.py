"""`hf-robust report`: compare runs in a table, and with ``--output`` in a page that needs nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The runs, and where the report goes."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="Output folders of runs; their order is the tables'.")
    parser.add_argument(
        "--output", type=Path, help="Folder for report.html, report.md and its pictures. Default: print a table only."
    )
    parser.add_argument("--force", action="store_true", help="Compare runs of different data or attacks all the same.")


def run(options: argparse.Namespace) -> str:
    """The Markdown table of the runs; with ``--output`` the report is written too.

    Raises:
        ValueError: a run cannot be read or was given twice, or the runs do not compare.
    """
    from hf_robust.reports import load_runs, table_of_runs, write_report

    runs = load_runs(options.runs, force=options.force)
    table = table_of_runs(runs)
    if options.output is None:
        return table
    written = write_report(runs, options.output)
    return f"{table}\n{' and '.join(path.name for path in written)} are in {options.output}."
