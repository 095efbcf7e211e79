"""The folders of a sweep's runs: their names, and whether a run is finished."""

from __future__ import annotations

from pathlib import Path

import hf_robust
from hf_robust.reports import load_evaluated
from hf_robust.runs import METRICS_FILE, TRAINER_STATE_FILE, read_json
from hf_robust.sweep.file import Point

SCRIPT = "run_glue_robust.py"
RUNS, ARGUMENTS, LOG, FAILED, LOCK = "runs", "_arguments.json", "_log.txt", "_failed.json", "_lock"
TAIL_LINES = 8
"""Number of lines of a failed run's log that are printed."""


def find_script(path: Path | None) -> Path:
    """Find the script of the runs: ``path``, else run_glue_robust.py in the working folder, else the installed one.

    The installed one, or that of a checkout, is the file beside the package.

    Raises:
        ValueError: there is no such file.
    """
    if path is not None:
        if not path.is_file():
            raise ValueError(f"--script {path} is not a file: give the path of run_glue_robust.py.")
        return path.resolve()
    candidates = [Path.cwd() / SCRIPT, Path(hf_robust.__file__).resolve().parents[1] / SCRIPT]
    script = next((candidate for candidate in candidates if candidate.is_file()), None)
    if script is None:
        raise ValueError(
            f"{SCRIPT} is neither in this folder nor beside the package hf_robust: give it by --script FILE."
        )
    return script


def folder_of(output: Path, point: Point) -> Path:
    """Return the folder of a point's run; a folder with the point's hash is used whatever its name is."""
    runs = output / RUNS
    folders = sorted(runs.glob(f"*-{point.key}")) if runs.is_dir() else []
    return folders[0] if folders else runs / f"{point.name}-{point.key}"


def is_finished(folder: Path) -> bool:
    """Whether a run has all its numbers: the run card of a finished training, and an evaluation after it."""
    if (folder / FAILED).exists():
        return False
    try:
        card, results = load_evaluated(folder).card, read_json(folder / METRICS_FILE)
    except ValueError:  # a half-written file: do the run again
        return False
    return isinstance(card.get("final_step"), int) and any(name.startswith("eval_") for name in results)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, with trainer state and optimizer; None if there is none."""
    numbered = {path: path.name.rpartition("-")[2] for path in folder.glob("checkpoint-*")}
    checkpoints = sorted((int(number), path) for path, number in numbered.items() if number.isdigit())
    return next((path for _, path in reversed(checkpoints) if _is_complete(path)), None)


def _is_complete(checkpoint: Path) -> bool:
    state = checkpoint / TRAINER_STATE_FILE
    if not state.is_file() or not any(checkpoint.glob("optimizer*")):
        return False
    try:
        read_json(state)  # is written last
    except ValueError:
        return False
    return True


def log_tail(folder: Path) -> str:
    """Return the last lines of a run's log, indented; of a progress bar only its last state."""
    file = folder / LOG
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    lines = [line.rpartition("\r")[2] for line in text.split("\n") if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])
