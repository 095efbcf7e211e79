"""How a run predicts where plain ``from_pretrained`` of what it saved does not, said beside the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hf_robust.models.files import find_file

INFERENCE_FILE = "inference.json"

Fetch = Callable[[str], Path]
"""From the name of a file beside a model, in a folder or on the Hub, to where it lies on this machine."""


@dataclass(frozen=True)
class SavedInference:
    """What a saved model lacks of the classifier that was evaluated and attacked.

    ``note`` says it, in one or two sentences, to readers of the model card and of what is measured with the plain
    model. ``settings`` are what the method's ``restored`` needs to predict as in the run, beside its files; None where
    only the plain model can be had.
    """

    method: str
    note: str
    settings: Mapping[str, Any] | None = None


def write_saved_inference(saved: SavedInference | None, folder: Path) -> None:
    """Write ``inference.json``, or remove an earlier run's where the saved model lacks nothing."""
    path = folder / INFERENCE_FILE
    if saved is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(f"{json.dumps(asdict(saved), indent=2)}\n", encoding="utf-8")


def fetch_from(name: str) -> Fetch:
    """What finds the files of a saved model; ``name`` is a folder or the id of a Hub model."""

    def fetch(file: str) -> Path:
        found = find_file(name, file)
        if found is None:
            raise ValueError(f"{name} has no {file}, without which it does not predict as in its run; copy it there.")
        return found

    return fetch


def read_saved_inference(name: str, **hub: Any) -> SavedInference | None:
    """What ``inference.json`` beside a saved model says; None where the model alone is what was measured.

    A Hub model that was cached without that file, on a machine that is offline by now, cannot be asked.

    Args:
        name: a folder, or the id of a Hub model.
        hub: ``token``, ``revision`` and ``cache_dir``, as the model was loaded with.

    Raises:
        ValueError: the file is broken.
    """
    path = find_file(name, INFERENCE_FILE, **hub)
    if path is None:
        return None
    try:
        return SavedInference(**json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); copy it again from the run that wrote it.") from error
