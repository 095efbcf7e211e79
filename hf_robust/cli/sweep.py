"""`hf-robust sweep`: a grid or a search over flags of run_glue_robust.py, a process and a folder for each run."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_robust.sweep.file import Sweep


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="The sweep: JSON with args and a grid or a search.")
    parser.add_argument("--output_dir", type=Path, help="Where runs and results go. Default: output/<name of FILE>.")
    parser.add_argument("--jobs", type=int, default=1, help="Runs at a time. Default: 1.")
    parser.add_argument(
        "--script", type=Path, help="The script to run. Default: run_glue_robust.py, here or beside us."
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="What {data} stands for in the arguments.")
    parser.add_argument("--dry_run", action="store_true", help="Check everything and list the runs, and run none.")


def run(options: argparse.Namespace) -> str:
    """Check every point, do the runs that are not there yet, and write tables and pictures over all of them.

    Raises:
        ValueError: the file or a point is wrong (nothing was run then), or runs failed or were interrupted.
    """
    from hf_robust.sweep.checks import check_sweep
    from hf_robust.sweep.file import read_sweep
    from hf_robust.sweep.runs import find_script

    if options.jobs < 1:
        raise ValueError(f"--jobs must be 1 or more, got {options.jobs}.")
    sweep = read_sweep(options.file)
    check_sweep(sweep, options.data)
    output = options.output_dir or Path("output") / options.file.stem
    script = find_script(options.script)
    if options.dry_run:
        return listing(sweep, output)
    return do_runs(sweep, output, script, options)


def listing(sweep: Sweep, output: Path) -> str:
    """The runs of a sweep and which of them are finished, without running any."""
    from hf_robust.sweep.runs import folder_of, is_finished

    if sweep.search is not None:
        space = (f"{name}: {one.text}" for name, one in sweep.search.space.items())
        return "\n".join([f"up to {sweep.search.trials} runs, searching", *space])
    folders = [folder_of(output, point) for point in sweep.points]
    rows = [f"{'finished' if is_finished(folder) else 'to run  '}  {folder.name}" for folder in folders]
    return "\n".join([*rows, f"{len(rows)} runs in {output}"])


def do_runs(sweep: Sweep, output: Path, script: Path, options: argparse.Namespace) -> str:
    """Do what is not there yet; the table, or an error where something failed."""
    from hf_robust.sweep.runs import GridSource, Source, ended_by_signal, locked, run_jobs
    from hf_robust.sweep.summary import result_line, values_of, write_summary

    with locked(output) as lock, ended_by_signal():
        source: Source
        if sweep.search is None:
            source = GridSource(sweep.points, output, options.data)
        else:
            from hf_robust.sweep.search import SearchSource

            objectives = partial(values_of, sweep)
            source = SearchSource(
                sweep.search, sweep.objectives, output, options.data, objectives, say, options.jobs > 1
            )
        for folder in source.finished():
            values_of(sweep, folder)
        say(source.describe())
        try:
            failed = run_jobs(source, options.jobs, script, partial(result_line, sweep), say, lock)
        except KeyboardInterrupt:
            write_summary(sweep, source.points(), output)
            raise ValueError(
                f"interrupted; {output / 'sweep.md'} has what is finished, and the same command does what is left."
            ) from None
        text = write_summary(sweep, source.points(), output)
    if failed:
        sys.stdout.write(text)
        names = ", ".join(folder.name for folder in failed)
        raise ValueError(
            f"{len(failed)} of {len(source.points())} runs failed: {names}; their _log.txt in {output / 'runs'} says "
            "why, and the same command runs them again."
        )
    return f"{text}\nRuns, table and pictures are in {output}."


def say(line: str) -> None:
    """Print a line of progress at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
