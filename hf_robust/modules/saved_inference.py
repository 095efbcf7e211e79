"""File beside a saved model with the inference of its run, if plain ``from_pretrained`` would predict differently."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hf_robust.models.files import find_file

INFERENCE_FILE = "inference.json"

Fetch = Callable[[str], Path]
"""Maps the name of a file beside a model, in a folder or on the Hub, to its local path."""


@dataclass(frozen=True)
class SavedInference:
    """The difference between a saved model and the classifier that was evaluated and attacked.

    Attributes:
        method: name of the training method.
        note: the difference in one or two sentences, for the model card and for measurements of the plain model.
        settings: settings that the method's ``restored`` needs, besides its files, to predict as in the run; None if
            this inference cannot be restored.
    """

    method: str
    note: str
    settings: Mapping[str, Any] | None = None


def write_saved_inference(saved: SavedInference | None, folder: Path) -> None:
    """Write ``inference.json``, or remove that of an earlier run if ``saved`` is None."""
    path = folder / INFERENCE_FILE
    if saved is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(f"{json.dumps(asdict(saved), indent=2)}\n", encoding="utf-8")


def fetch_from(name: str) -> Fetch:
    """A function that finds the files of a saved model; ``name`` is a folder or the id of a Hub model."""

    def fetch(file: str) -> Path:
        path = find_file(name, file)
        if path is None:
            raise ValueError(f"{name} has no {file}, without which it does not predict as in its run; copy it there.")
        return path

    return fetch


def read_saved_inference(name: str, **hub: Any) -> SavedInference | None:
    """The content of ``inference.json`` beside a saved model; None if the saved model is the evaluated classifier.

    The result is also None if a Hub model was cached without that file and the machine is offline.

    Args:
        name: a folder, or the id of a Hub model.
        hub: ``token``, ``revision`` and ``cache_dir`` with which the model was loaded.

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
