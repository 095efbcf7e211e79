"""`hf-robust report`: compare runs in a table, and with ``--output`` in one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the runs and the folder of the report."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="Output folders of runs, in the order of the tables.")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="Folder for report.html, report.md and its pictures. Default: print the table only.",
    )
    parser.add_argument("--force", action="store_true", help="Compare runs even if their data or attacks differ.")


def run(options: argparse.Namespace) -> str:
    """Return the Markdown table of the runs; with ``--output`` also write the report.

    Raises:
        ValueError: a run cannot be read or is named twice, or the runs are not comparable.
    """
    from hf_robust.reports import load_runs, table_of_runs, write_report

    runs = load_runs(options.runs, force=options.force)
    table = table_of_runs(runs)
    if options.output is None:
        return table
    written = write_report(runs, options.output)
    return f"{table}\n{' and '.join(path.name for path in written)} are in {options.output}."
