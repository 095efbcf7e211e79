"""The tokens of a split as flat arrays: in memory, or in files that later runs and the other ranks read."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Chunk = Mapping[str, Sequence[Sequence[int]]]
"""What a tokenizer returns for some rows: a list of integers of each row, by the name of the model's input."""

MIN_ROWS = 20_000
"""Splits of fewer rows are tokenised anew in each run: it takes a second."""
SMALL = {"attention_mask", "token_type_ids"}
PARTS = ("flat", "lengths")
DONE = "done.json"
"""The file that is written last; a folder without it is not whole."""


class Ragged:
    """Integer lists of different lengths in one flat array, with a tenth of the memory of Python lists."""

    def __init__(self, flat: NDArray[Any], lengths: NDArray[np.int32]) -> None:
        self.flat = flat
        self.ends: NDArray[np.int64] = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

    def __getitem__(self, index: int) -> list[int]:
        values: list[int] = self.flat[self.ends[index] : self.ends[index + 1]].tolist()
        return values

    def sums(self) -> NDArray[np.int64]:
        """The sum of each list."""
        starts, sizes = self.ends[:-1], np.diff(self.ends)
        sums = np.zeros(len(sizes), dtype=np.int64)
        filled = sizes > 0
        if filled.any():
            sums[filled] = np.add.reduceat(self.flat, starts[filled], dtype=np.int64)
        return sums


def in_memory(chunks: Iterable[Chunk]) -> dict[str, Ragged]:
    """The columns of all chunks."""
    parts: dict[str, list[tuple[NDArray[Any], NDArray[np.int32]]]] = {}
    for chunk in chunks:
        for key, flat, lengths in _arrays(chunk):
            parts.setdefault(key, []).append((flat, lengths))
    return {key: Ragged(*map(np.concatenate, zip(*pairs, strict=True))) for key, pairs in parts.items()}


def in_files(folder: Path, chunks: Iterable[Chunk], overwrite: bool = False) -> dict[str, Ragged]:
    """The columns of all chunks, from the files of ``folder``; they are made if they are not there.

    If several processes, such as the ranks of a run, need the folder at a time, the first makes it and the others
    wait. The arrays are mapped into memory: they take none of the process, and the processes of a machine share them.
    """
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if overwrite or not (folder / DONE).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            _write(folder, chunks)
        else:
            logger.info("tokens are read from %s; --overwrite_cache makes them again.", folder)
        kinds = json.loads((folder / DONE).read_text(encoding="utf-8"))
    return {key: Ragged(*(_mapped(folder / f"{key}.{part}", kinds[key][part]) for part in PARTS)) for key in kinds}


def _arrays(chunk: Chunk) -> Iterator[tuple[str, NDArray[Any], NDArray[np.int32]]]:
    for key, lists in chunk.items():
        kind = np.int8 if key in SMALL else np.int32
        lengths = np.fromiter(map(len, lists), dtype=np.int32, count=len(lists))
        flat = np.fromiter(chain.from_iterable(lists), dtype=kind, count=int(lengths.sum()))
        yield key, flat, lengths


def _write(folder: Path, chunks: Iterable[Chunk]) -> None:
    unfinished = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    kinds: dict[str, dict[str, str]] = {}
    for chunk in chunks:
        for key, flat, lengths in _arrays(chunk):
            kinds[key] = {part: array.dtype.name for part, array in zip(PARTS, (flat, lengths), strict=True)}
            for part, array in zip(PARTS, (flat, lengths), strict=True):
                with (unfinished / f"{key}.{part}").open("ab") as file:
                    array.tofile(file)
    (unfinished / DONE).write_text(json.dumps(kinds), encoding="utf-8")
    unfinished.rename(folder)


def _mapped(path: Path, kind: str) -> NDArray[Any]:
    # An empty file cannot be mapped.
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, dtype=kind)


def can_be_stored(tokenizer: Any) -> bool:
    """Whether a tokenizer's fingerprint holds all that its tokens depend on: it is a fast one of transformers."""
    return bool(getattr(tokenizer, "is_fast", False)) and type(tokenizer).__module__.startswith("transformers.")


def fingerprint(tokenizer: Any, settings: Sequence[Any], texts: Iterable[Sequence[str]]) -> str:
    """Hash (32 hexadecimal characters) of the tokenizer, the settings of its calls, the versions and the texts."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    del backend["truncation"], backend["padding"]  # the last call's; ``settings`` has those of the calls to come
    names = "model_max_length model_input_names padding_side truncation_side pad_token pad_token_type_id"
    described = {name: getattr(tokenizer, name, None) for name in names.split()}
    versions = [version("tokenizers"), version("transformers")]
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([backend, type(tokenizer).__name__, described, versions, settings]).encode())
    for columns in texts:
        digest.update(json.dumps(columns).encode())
    return digest.hexdigest()
