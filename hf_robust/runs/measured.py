"""Where a command writes what it measured: in a folder of its own, never over the files of a run."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_robust.runs.card import RunCard, read_card, versions
from hf_robust.runs.command import redact_command
from hf_robust.runs.files import HISTORY_FILE, MEASURED_FOLDER, RUN_CARD_FILE, TRAINER_STATE_FILE

_OF_A_RUN = (RUN_CARD_FILE, HISTORY_FILE, TRAINER_STATE_FILE, "config.json", "adapter_config.json")


def require_writable(output_dir: str | os.PathLike[str]) -> None:
    """Refuse an output folder that cannot be written to, before there is anything to write; it is not made yet.

    Raises:
        ValueError: neither it nor, where it is not there, the folder in which it would be made can be written to.
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
    """Whether a folder is that of a training, of a model, or of an earlier measurement."""
    return any((folder / name).exists() for name in _OF_A_RUN) or any(folder.glob("checkpoint-*"))


def claim_folder(what: str, output_dir: Path) -> Path:
    """Make the folder of a new measurement: ``output_dir``, or ``measured/<what>-<n>`` below one that holds a run.

    Called when there is something to write, so that a measurement that died leaves nothing behind but its journal.
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
    """The run card of what a command measured of ``model``: ``stated``, and what is known of the run beside it.

    Args:
        words: those of the command line behind `hf-robust`; none where Python code measured.
    """
    return {
        "method": read_card(model).get("method", "checkpoint"),
        "model": model,
        **stated,  # type: ignore[typeddict-item]
        "versions": versions(),
        "command": redact_command(["hf-robust", *words]) if words else [],
    }
