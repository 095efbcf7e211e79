"""`hf-robust leaderboard`: runs measured by one standard evaluation, as a page and a JSON file."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the runs and the folder of the page."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="Output folders with a standard evaluation: of the script with --attacks standard, or of `hf-robust "
        "attack`.",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="Folder for leaderboard.html, leaderboard.json and the run cards.",
    )


def run(options: argparse.Namespace) -> str:
    """Write the leaderboard and return its table as Markdown.

    Raises:
        ValueError: no run is given, or the runs do not belong on one leaderboard.
    """
    from hf_robust.reports import load_leaderboard, table_of_entries, write_leaderboard

    entries = load_leaderboard(options.runs)
    written = write_leaderboard(entries, options.output)
    return f"{table_of_entries(entries)}\n{' and '.join(path.name for path in written)} are in {options.output}."
