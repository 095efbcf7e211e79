"""`hf-robust sweep`: run run_glue_robust.py over a grid of flags, or search for good values of them."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_robust.sweep.file import Sweep


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSON file of the sweep: args, and a grid or a search."
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        metavar="DIR",
        help="Folder for the runs, tables and pictures. Default: output/<name of FILE>.",
    )
    parser.add_argument("--jobs", type=int, default=1, help="Number of runs at a time. Default: 1.")
    parser.add_argument(
        "--script",
        type=Path,
        metavar="FILE",
        help="Script to run. Default: run_glue_robust.py in the working folder, else the installed one.",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="Folder that replaces {data} in FILE. Needed if FILE has {data}."
    )
    parser.add_argument("--dry_run", action="store_true", help="Check and list the runs, but run none.")


def run(options: argparse.Namespace) -> str:
    """Check every point, do the missing runs, and write tables and pictures of all runs.

    Raises:
        ValueError: the file or a point is wrong (then nothing has run), or runs failed or were interrupted.
    """
    from hf_robust.sweep.checks import check_sweep
    from hf_robust.sweep.file import read_sweep
    from hf_robust.sweep.runs import find_script

    if options.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {options.jobs}.")
    sweep = read_sweep(options.file)
    check_sweep(sweep, options.data)
    output = options.output_dir or Path("output") / options.file.stem
    script = find_script(options.script)
    if options.dry_run:
        return listing(sweep, output)
    return run_sweep(sweep, output, script, options)


def listing(sweep: Sweep, output: Path) -> str:
    """List the runs of a sweep and whether they are finished."""
    from hf_robust.sweep.runs import folder_of, is_finished

    if sweep.search is not None:
        space = (f"{name}: {dimension.text}" for name, dimension in sweep.search.space.items())
        return "\n".join([f"up to {sweep.search.trials} runs, which search over", *space])
    folders = [folder_of(output, point) for point in sweep.points]
    rows = [f"{'finished' if is_finished(folder) else 'to run  '}  {folder.name}" for folder in folders]
    return "\n".join([*rows, f"{len(rows)} runs in {output}"])


def run_sweep(sweep: Sweep, output: Path, script: Path, options: argparse.Namespace) -> str:
    """Do the missing runs and return the table.

    Raises:
        ValueError: runs failed or were interrupted.
    """
    from hf_robust.sweep.runs import GridJobs, JobSource, interrupted_by_sigterm, locked, run_jobs
    from hf_robust.sweep.summary import result_line, values_of, write_summary

    with locked(output) as lock, interrupted_by_sigterm():
        source: JobSource
        if sweep.search is None:
            source = GridJobs(sweep.points, output, options.data)
        else:
            from hf_robust.sweep.search import SearchJobs

            objectives = partial(values_of, sweep)
            source = SearchJobs(
                sweep.search, sweep.objectives, output, options.data, objectives, print_line, options.jobs > 1
            )
        for folder in source.finished():
            values_of(sweep, folder)
        print_line(source.describe())
        try:
            failed = run_jobs(source, options.jobs, script, partial(result_line, sweep), print_line, lock)
        except KeyboardInterrupt:
            write_summary(sweep, source.points(), output)
            raise ValueError(
                f"interrupted: {output / 'sweep.md'} has the finished runs; run the same command again to do the "
                f"others."
            ) from None
        text = write_summary(sweep, source.points(), output)
    if failed:
        sys.stdout.write(text)
        names = ", ".join(folder.name for folder in failed)
        raise ValueError(
            f"{len(failed)} of {len(source.points())} runs failed: {names}. Read their _log.txt in "
            f"{output / 'runs'}, and "
            "run the same command again to repeat them."
        )
    return f"{text}\nRuns, table and pictures are in {output}."


def print_line(line: str) -> None:
    """Print a line of progress immediately."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
