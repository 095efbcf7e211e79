"""Lexicons from word vectors: a table of the k nearest words, built once from any word-vector file and cached."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from hf_robust.lexicons.base import Lexicon, TableLexicon
from hf_robust.lexicons.neighbours import read_table, write_table
from hf_robust.words.vector_files import EXPECTED_FORMAT, Vectors, read_vectors

logger = logging.getLogger(__name__)

_FORMAT = 1  # part of the cache key: increase it if the table of the same vectors changes


class VectorLexicon(TableLexicon):
    """A table of nearest words by word vectors, which can be rebuilt with other settings (``nearest``)."""

    def __init__(self, table: dict[str, list[str]], path: str | Path, relation: str, settings: dict[str, Any]) -> None:
        shown = "{k} nearest words, cosine >= {min_cosine:g}, first {max_words:,} words".format(**settings)
        super().__init__(table, name="vectors", relation=relation, source=f"{path} ({shown})")
        self._path, self._settings = path, settings

    def nearest(self, k: int, min_cosine: float) -> Lexicon:
        return vectors_lexicon(self._path, self.relation, **{**self._settings, "k": k, "min_cosine": min_cosine})


def vectors_lexicon(
    path: str | Path, relation: str = "synonym", *, k: int = 8, min_cosine: float = 0.7, max_words: int = 100_000
) -> VectorLexicon:
    """A lexicon of the ``k`` nearest words with a cosine of at least ``min_cosine``.

    The table is cached in :func:`cache_folder` under a hash of the file's content and the settings; a damaged cache
    file is built again. Only the first ``max_words`` words are used: vector files list frequent words first.
    """
    settings = {"k": k, "min_cosine": min_cosine, "max_words": max_words}
    key = hashlib.sha256(json.dumps([_FORMAT, hash_file(path), settings], sort_keys=True).encode()).hexdigest()[:32]
    cached = cache_folder() / "neighbours" / f"{key}.json.gz"
    table: dict[str, list[str]] | None = None
    if cached.exists():
        try:
            table = read_table(cached)
        except ValueError as error:
            logger.warning("A cached table of nearest words is damaged and is built again: %s", error)
    if table is None:
        table = nearest_words(*read_vectors(path, max_words=max_words), k=k, min_cosine=min_cosine)
        write_table(table, cached)
    return VectorLexicon(table, path, relation, settings)


def cache_folder() -> Path:
    """``$HF_ROBUST_CACHE``, else a folder in the user's cache directory; the folder is not created."""
    default = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HF_ROBUST_CACHE") or Path(default) / "hf_robust")


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        ValueError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ValueError(f"The word vectors at {path} cannot be read ({error.strerror}); {EXPECTED_FORMAT}.") from None
    return digest.hexdigest()


def nearest_words(
    words: list[str],
    vectors: Vectors,
    *,
    k: int = 8,
    min_cosine: float = 0.7,
    vocabulary: Collection[str] | None = None,
    chunk: int = 256,
) -> dict[str, list[str]]:
    r"""For each word the ``k`` other words with the largest cosines, if at least ``min_cosine``, nearest first.

    Cosines that are equal to six decimals are ordered as in ``words``, so that rounding errors do not decide.

    Args:
        words: N distinct words.
        vectors: vectors [N, E]; zero rows have no neighbours.
        k: maximum number of neighbours.
        min_cosine: minimum cosine of a neighbour.
        vocabulary: the words that get a row; neighbours can be any of the N words. None for all words.
        chunk: number of rows multiplied at a time; memory is ``4 * chunk * N`` bytes.
    """
    if k < 1 or not -1.0 <= min_cosine <= 1.0:
        raise ValueError(f"k must be at least 1 and min_cosine in [-1, 1], got k={k} and min_cosine={min_cosine}.")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0).astype(np.float32)
    wanted = set(words) if vocabulary is None else {word.lower() for word in vocabulary}
    rows = np.array([i for i, word in enumerate(words) if word in wanted and norms[i] > 0], dtype=np.int64)
    table: dict[str, list[str]] = {}
    for start in range(0, len(rows), chunk):
        block = rows[start : start + chunk]
        for row, cosines in zip(block, unit[block] @ unit.T, strict=True):
            close = np.flatnonzero(cosines >= min_cosine)
            close = close[(close != row) & (norms[close, 0] > 0)]
            order = np.argsort(-np.round(cosines[close], 6), kind="stable")[:k]
            if len(order):
                table[words[row]] = [words[i] for i in close[order]]
    return table
