"""Output folders of commands that measure: each measurement gets its own folder and never overwrites a run."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_robust.runs.card import UNKNOWN_METHOD, RunCard, read_card, versions
from hf_robust.runs.command import redact_command
from hf_robust.runs.files import HISTORY_FILE, MEASURED_FOLDER, RUN_CARD_FILE, TRAINER_STATE_FILE

_OF_A_RUN = (RUN_CARD_FILE, HISTORY_FILE, TRAINER_STATE_FILE, "config.json", "adapter_config.json")


def require_writable(output_dir: str | os.PathLike[str]) -> None:
    """Raise if an output folder cannot be written to; the folder is not created yet.

    Raises:
        ValueError: the folder, or for a new folder its nearest existing parent, is not writable.
    """
    folder = Path(output_dir)
    try:
        with tempfile.TemporaryFile(dir=next(one for one in (folder, *folder.absolute().parents) if one.exists())):
            pass
    except OSError as error:
        raise ValueError(
            f"--output_dir {folder} cannot be written to ({error.strerror}): choose another folder."
        ) from error


def holds_a_run(folder: Path) -> bool:
    """Whether a folder contains a training run, a model, or an earlier measurement."""
    return any((folder / name).exists() for name in _OF_A_RUN) or any(folder.glob("checkpoint-*"))


def claim_folder(what: str, output_dir: Path) -> Path:
    """Create the folder of a measurement: ``output_dir``, or ``measured/<what>-<n>`` below a folder that holds a run.

    Call it when there is something to write, so that a failed measurement leaves only its journal.
    """
    if not holds_a_run(output_dir):
        output_dir.mkdir(parents=True, exist_ok=True)
        return output_dir
    parent = output_dir / MEASURED_FOLDER
    parent.mkdir(exist_ok=True)
    taken = [re.fullmatch(rf"{re.escape(what)}-(\d+)", path.name) for path in parent.iterdir()]
    number = max((int(one[1]) for one in taken if one), default=0) + 1
    while True:  # another command may claim a folder at the same moment
        try:
            (parent / f"{what}-{number}").mkdir()
            return parent / f"{what}-{number}"
        except FileExistsError:
            number += 1


def measured_card(model: str, words: Sequence[str], **stated: Any) -> RunCard:
    """Run card of a measurement of ``model`` by a command: method, versions and command, and the entries ``stated``.

    Args:
        words: words of the command line after `hf-robust`; empty for a measurement from Python.
    """
    return {
        "method": read_card(model).get("method", UNKNOWN_METHOD),
        "model": model,
        **stated,  # type: ignore[typeddict-item]
        "versions": versions(),
        "command": redact_command(["hf-robust", *words]) if words else [],
    }
