"""The files of a saved model: which hold its weights, and which of them cannot be read, in one sentence."""

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
"""How the names of the files begin that ``from_pretrained`` reads."""


def weight_files(folder: Path, remedy: str) -> list[Path]:
    """The files of a model's weights, as transformers looks for them, all there and whole; [] where there are none.

    Raises:
        ValueError: one is missing or broken.
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
    """Where a file of a saved model lies on this machine; None where the model has none.

    A Hub model that was cached without it, on a machine that is offline by now, cannot be asked.

    Args:
        name: a folder, or the id of a Hub model.
        hub: ``token``, ``revision`` and ``cache_dir``, as the model was loaded with.
    """
    if Path(name).is_dir():
        path = Path(name, file)
        return path if path.is_file() else None
    silent = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    found = utils.cached_file(name, file, **hub, **silent)
    return None if found is None else Path(found)


def read_weights(files: Iterable[Path]) -> dict[str, Tensor]:
    """The tensors of whole files by the names under which they were saved, on the CPU."""
    found: dict[str, Tensor] = {}
    for path in files:
        if path.suffix == ".safetensors":
            found |= safetensors.torch.load_file(path)
        else:
            found |= torch.load(path, map_location="cpu", weights_only=True)
    return found


def check_files(files: Iterable[Path], remedy: str) -> None:
    """Ask whether each file is there and can be read to its end, by its ending; of tensors nothing is loaded.

    Raises:
        ValueError: one is missing, empty, cut or damaged; the sentence ends in ``remedy``.
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
    # Weights that torch saved before version 1.6 are no archive, and only loading them tells whether they are whole.
    with path.open("rb") as file:
        is_old = path.suffix == ".bin" and file.read(2) != b"PK"
    return None if is_old or zipfile.is_zipfile(path) else "is cut or damaged (it has no end)"


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
    """Around ``from_pretrained(name)``: an error that a broken file explains names that file.

    Args:
        what: begins the sentence, as ``--model_name_or_path NAME``.
        name: a folder, or the id of a Hub model.
        remedy: what to give instead, where there is nothing that can be loaded.
        cache_dir, revision: where the Hub's models are kept, and which of one was asked for.

    Raises:
        ValueError: a file is broken, or there is no such model.
    """
    try:
        yield
    except Exception as error:
        folder = Path(name) if Path(name).is_dir() else _cached(name, cache_dir, revision)
        if folder is not None:
            mend = (
                "copy it again, or train again"
                if folder == Path(name)
                else f"delete {folder.parents[1]} to download it again"
            )
            weight_files(folder, mend)
            check_files(_read_by_loaders(folder), mend)
        if not isinstance(error, OSError | ValueError):
            raise
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ValueError(f"{what} cannot be loaded ({reason}); {remedy}.") from error


def _read_by_loaders(folder: Path) -> list[Path]:
    known = (".json", ".safetensors", ".bin")
    return sorted(path for path in folder.iterdir() if path.name.startswith(_LOADED) and path.suffix in known)


def _cached(name: str, cache_dir: str | None, revision: str | None) -> Path | None:
    """The folder of a Hub model's files, if there are some on this machine."""
    with suppress(HFValidationError):
        for file in (utils.CONFIG_NAME, utils.ADAPTER_CONFIG_NAME):
            found = try_to_load_from_cache(name, file, cache_dir, revision)
            if isinstance(found, str):
                return Path(found).parent
    return None
