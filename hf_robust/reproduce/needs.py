"""What the runs of an item read: files in the folder of ``--data``, models and data sets of the Hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hf_robust.attacks.static import FILE_PREFIX
from hf_robust.reproduce.scale import MODEL
from hf_robust.runs import Flags
from hf_robust.sweep.checks import DATA

MODEL_FLAGS = (MODEL, "masked_lm", "sentence_encoder")
BUILT_IN_MODELS = ("lstm", "cnn")


def needs(every: Iterable[Flags]) -> list[str]:
    """What runs with these flags read, each once: files below ``{data}``, local files, and names on the Hub."""
    return list(dict.fromkeys(name for flags in every for name in _read_by(flags)))


def require_needs(every: Iterable[Flags], data: Path | None) -> None:
    """Check that all files are there and, if the Hub may not be asked, that models and data sets are in its cache.

    Raises:
        ValueError: something is missing; the sentence names all of it.
    """
    found = needs(every)
    below = [name.removeprefix(f"{DATA}/") for name in found if name.startswith(DATA)]
    if below and data is None:
        raise ValueError(f"this item reads {', '.join(below)}: give the folder that has them by --data DIR.")
    missing = [name for name in below if data is not None and not (data / name).exists()]
    if missing:
        raise ValueError(f"--data {data} lacks {', '.join(missing)}: add them, or give another folder.")
    lost = [name for name in found if _is_path(name) and not Path(name).exists()]
    if lost:
        raise ValueError(f"there is no {', '.join(lost)}: check the path.")
    absent = [name for name in found if not name.startswith(DATA) and not _at_hand(name)]
    if absent:
        raise ValueError(
            f"the Hub is off (HF_HUB_OFFLINE), and these are not in its cache: {', '.join(absent)}. Allow the "
            "network, or give --data DIR for data sets and --model DIR for the model."
        )


def _read_by(flags: Flags) -> Iterator[str]:
    for flag in MODEL_FLAGS:
        if flag in flags and flags[flag] not in BUILT_IN_MODELS:
            yield str(flags[flag])
    if "task_name" in flags:
        yield "dataset nyu-mll/glue"
    elif "dataset_name" in flags:
        yield f"dataset {flags['dataset_name']}"
    for value in flags.values():
        for text in value if isinstance(value, list) else [value]:
            yield from _below_data(text)


def _is_path(name: str) -> bool:
    """Whether a name is surely a folder's: ``a/b`` may also be on the Hub."""
    return Path(name).is_absolute() or name.startswith(("./", "../"))


def _below_data(text: Any) -> Iterator[str]:
    if isinstance(text, str) and text.removeprefix(FILE_PREFIX).startswith(DATA):
        yield text.removeprefix(FILE_PREFIX)


def _at_hand(name: str) -> bool:
    """Whether a model or data set is local, in the cache, or may be fetched."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    kind, _, identifier = name.rpartition(" ")
    if not constants.HF_HUB_OFFLINE or (not kind and Path(identifier).exists()):
        return True
    try:
        cached = scan_cache_dir().repos
    except CacheNotFound:
        return False
    return any(repo.repo_id == identifier and repo.repo_type == (kind or "model") for repo in cached)
