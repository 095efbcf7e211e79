"""Files of a saved model: finding, checking and reading them, with one-sentence errors for broken files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import utils

ADAPTER_FILES = (utils.ADAPTER_SAFE_WEIGHTS_NAME, utils.ADAPTER_WEIGHTS_NAME)
_WEIGHTS = (
    (utils.SAFE_WEIGHTS_NAME, utils.SAFE_WEIGHTS_INDEX_NAME),
    (utils.WEIGHTS_NAME, utils.WEIGHTS_INDEX_NAME),
)
_LOADED = ("config", "model", "pytorch_model", "adapter_", "tokenizer", "special_tokens", "added_tokens", "vocab")
"""Prefixes of the names of files that ``from_pretrained`` reads."""


def weight_files(folder: Path, remedy: str) -> list[Path]:
    """The weight files of a model, in the order in which transformers looks for them; [] if there are none.

    Raises:
        ValueError: a file is missing or broken.
    """
    for name, index in _WEIGHTS:
        if (folder / name).is_file():
            check_files([folder / name], remedy)
            return [folder / name]
        if (folder / index).is_file():
            check_files([folder / index], remedy)
            shards = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()
            files = [folder / shard for shard in sorted(set(shards))]
            check_files(files, remedy)
            return files
    return []


def find_file(name: str, file: str, **hub: Any) -> Path | None:
    """The local path of a file of a saved model; None if the model has no such file.

    The result is also None if a Hub model was cached without the file and the machine is offline.

    Args:
        name: a folder, or the id of a Hub model.
        hub: ``token``, ``revision`` and ``cache_dir`` with which the model was loaded.
    """
    if Path(name).is_dir():
        path = Path(name, file)
        return path if path.is_file() else None
    silent = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    cached = utils.cached_file(name, file, **hub, **silent)
    return None if cached is None else Path(cached)


def read_weights(files: Iterable[Path]) -> dict[str, Tensor]:
    """All tensors of the files by their saved names, on the CPU."""
    tensors: dict[str, Tensor] = {}
    for path in files:
        if path.suffix == ".safetensors":
            tensors |= safetensors.torch.load_file(path)
        else:
            tensors |= torch.load(path, map_location="cpu", weights_only=True)
    return tensors


def check_files(files: Iterable[Path], remedy: str) -> None:
    """Check that each file exists and is complete, by a check for its file type; no tensor is loaded.

    Raises:
        ValueError: a file is missing, empty, truncated or damaged; the message ends with ``remedy``.
    """
    for path in files:
        fault = _fault(path)
        if fault:
            raise ValueError(f"{path} {fault}; {remedy}.")


def _fault(path: Path) -> str | None:
    if not path.is_file():
        return "is missing"
    if not path.stat().st_size:
        return "is empty"
    if path.suffix == ".safetensors":
        return _safetensors_fault(path)
    if path.suffix == ".json":
        return _json_fault(path)
    # Weights that torch before 1.6 saved are no zip archive; only loading them shows whether they are complete.
    with path.open("rb") as file:
        is_old = path.suffix == ".bin" and file.read(2) != b"PK"
    return None if is_old or zipfile.is_zipfile(path) else "is cut or damaged (its end is missing)"


def _safetensors_fault(path: Path) -> str | None:
    try:
        with safe_open(path, framework="pt"):
            return None
    except SafetensorError as error:
        return f"is cut or damaged ({error})"


def _json_fault(path: Path) -> str | None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return f"is cut or damaged: it is not JSON ({error})"
    return None


@contextmanager
def loading(
    what: str, name: str, remedy: str, *, cache_dir: str | None = None, revision: str | None = None
) -> Iterator[None]:
    """Wrap ``from_pretrained(name)`` so that its errors become one sentence, which names a broken file.

    Args:
        what: start of the sentence, such as ``--model_name_or_path NAME``.
        name: a folder, or the id of a Hub model.
        remedy: end of the sentence if there is no model to load.
        cache_dir, revision: the Hub's cache folder, and the requested revision.

    Raises:
        ValueError: a file is broken, or there is no such model.
    """
    try:
        yield
    except Exception as error:
        folder = Path(name) if Path(name).is_dir() else _cached(name, cache_dir, revision)
        if folder is not None:
            broken = (
                "copy it again, or train again"
                if folder == Path(name)
                else f"delete {folder.parents[1]} to download it again"
            )
            weight_files(folder, broken)
            check_files(_read_by_loaders(folder), broken)
        if not isinstance(error, OSError | ValueError):
            raise
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ValueError(f"{what} cannot be loaded ({reason}); {remedy}.") from error


def _read_by_loaders(folder: Path) -> list[Path]:
    known = (".json", ".safetensors", ".bin")
    return sorted(path for path in folder.iterdir() if path.name.startswith(_LOADED) and path.suffix in known)


def _cached(name: str, cache_dir: str | None, revision: str | None) -> Path | None:
    """The folder of a Hub model's cached files; None if there are none."""
    with suppress(HFValidationError):
        for file in (utils.CONFIG_NAME, utils.ADAPTER_CONFIG_NAME):
            path = try_to_load_from_cache(name, file, cache_dir, revision)
            if isinstance(path, str):
                return Path(path).parent
    return None
