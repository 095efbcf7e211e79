"""`hf-robust sweep`: run run_glue_robust.py over a grid of flags, or search for good values of them."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_robust.sweep.file import Sweep
    from hf_robust.sweep.jobs import JobSource
    from hf_robust.sweep.output import Output
    from hf_robust.sweep.place import Backend


def add_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.sweep.backends import add_backend_flags

    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSON file of the sweep: args, and a grid or a search."
    )
    parser.add_argument(
        "--output_dir",
        metavar="DIR",
        help="Folder for the runs, tables and pictures, or an fsspec address such as s3://bucket/sweep. Default: "
        "output/<name of FILE>.",
    )
    add_backend_flags(parser)
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
    from hf_robust.sweep.backends import check_backend_flags, opened_backend
    from hf_robust.sweep.checks import check_sweep
    from hf_robust.sweep.file import read_sweep
    from hf_robust.sweep.jobs import interrupted_by_sigterm
    from hf_robust.sweep.output import fetched, opened_output
    from hf_robust.sweep.runs import find_script

    check_backend_flags(options)
    sweep = read_sweep(options.file)
    check_sweep(sweep, options.data)
    address = options.output_dir or str(Path("output") / options.file.stem)
    script = find_script(options.script)
    if options.dry_run:
        with fetched(address) as folder:
            return listing(sweep, folder, address)
    with (
        opened_output(address) as output,
        opened_backend(options, one_by_one=sweep.search is not None) as backend,
        interrupted_by_sigterm(),  # after Ray, which has a way of its own
    ):
        return run_sweep(sweep, output, backend, script, options.data)


def listing(sweep: Sweep, folder: Path, address: str) -> str:
    """List the runs of a sweep and whether they are finished."""
    from hf_robust.sweep.runs import folder_of, is_finished

    if sweep.search is not None:
        space = (f"{name}: {dimension.text}" for name, dimension in sweep.search.space.items())
        return "\n".join([f"up to {sweep.search.trials} runs, which search over", *space])
    folders = [folder_of(folder, point) for point in sweep.points]
    rows = [f"{'finished' if is_finished(run) else 'to run  '}  {run.name}" for run in folders]
    return "\n".join([*rows, f"{len(rows)} runs in {address}"])


def run_sweep(sweep: Sweep, output: Output, backend: Backend, script: Path, data: Path | None) -> str:
    """Do the missing runs and return the table.

    Raises:
        ValueError: runs failed or were interrupted.
    """
    from hf_robust.sweep.jobs import run_jobs
    from hf_robust.sweep.summary import result_line, values_of, write_summary

    source = source_of(sweep, output, backend, data)
    for folder in source.finished():
        values_of(sweep, folder)
    print_line(source.describe())
    try:
        failed = run_jobs(source, output, backend, script, partial(result_line, sweep), print_line)
    except KeyboardInterrupt:
        write_summary(sweep, source.points(), output.folder)
        raise ValueError(
            f"interrupted: {output.shown}/sweep.md has the finished runs; run the same command again to do the others."
        ) from None
    text = write_summary(sweep, source.points(), output.folder)
    if failed:
        sys.stdout.write(text)
        names = ", ".join(folder.name for folder in failed)
        raise ValueError(
            f"{len(failed)} of {len(source.points())} runs failed: {names}. Read their _log.txt in "
            f"{output.shown}/runs, and run the same command again to repeat them."
        )
    return f"{text}\nRuns, table and pictures are in {output.shown}."


def source_of(sweep: Sweep, output: Output, backend: Backend, data: Path | None) -> JobSource:
    """Return the runs to do: the points of a grid, or the trials of a search."""
    from hf_robust.sweep.jobs import GridJobs
    from hf_robust.sweep.summary import values_of

    if sweep.search is None:
        return GridJobs(sweep.points, output.folder, data)
    from hf_robust.sweep.search import SearchJobs

    parallel = backend.at_a_time > 1
    values = partial(values_of, sweep)
    return SearchJobs(sweep.search, sweep.objectives, output.folder, data, values, print_line, parallel)


def print_line(line: str) -> None:
    """Print a line of progress immediately."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
