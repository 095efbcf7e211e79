"""Reads word-vector files: GloVe and word2vec text, optionally gzipped, and .npz."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
EXPECTED_FORMAT = (
    "vectors are lines `word v1 v2 ...` (GloVe or word2vec text, optionally gzipped) or an .npz with `words` and "
    "`vectors`"
)


def read_vectors(path: str | Path, *, max_words: int | None = None) -> tuple[list[str], Vectors]:
    """Read N lower-case words and their vectors [N, E].

    Of repeated words, and of words that differ only in case, the first is read: files list frequent words first.

    Raises:
        ValueError: the file cannot be read or has another format; pickled files are refused.
    """
    refuse_pickle(path)
    pairs = _read_npz(path) if str(path).lower().endswith(".npz") else _read_text(path)
    vector_of: dict[str, Vectors] = {}
    for word, vector in pairs:
        vector_of.setdefault(word.lower(), vector)
        if max_words is not None and len(vector_of) >= max_words:
            break
    if not vector_of:
        raise ValueError(f"{path} holds no word vector; {EXPECTED_FORMAT}.")
    vectors = np.stack(list(vector_of.values())).astype(np.float32)
    if not np.isfinite(vectors).all():
        bad = list(vector_of)[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
        raise ValueError(
            f"The vector of {bad!r} in {path} has a value that is not a finite number; correct or remove it."
        )
    return list(vector_of), vectors


def _read_npz(path: str | Path) -> Iterator[tuple[str, Vectors]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            words, vectors = archive["words"], archive["vectors"]
    except KeyError:
        raise ValueError(f"{path} lacks the array `words` or `vectors`; {EXPECTED_FORMAT}.") from None
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read as .npz ({error}); {EXPECTED_FORMAT}, saved as plain arrays since pickled ones "
            "are refused."
        ) from error
    if vectors.ndim != 2 or words.shape != vectors.shape[:1]:
        raise ValueError(
            f"{path} has `words` of shape {words.shape} and `vectors` of shape {vectors.shape}; need [N], [N, E]."
        )
    return zip((str(word) for word in words), vectors.astype(np.float32), strict=True)


def _read_text(path: str | Path) -> Iterator[tuple[str, Vectors]]:
    size = 0
    for number, line in _numbered_lines(path):
        fields = line.rstrip().split(" ")
        if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
            continue  # word2vec's header: number of words, size
        size = size or len(fields) - 1
        # Values are counted from the right, since some files have words with spaces (GloVe 840B: ". . .").
        word, values = " ".join(fields[: len(fields) - size]), fields[len(fields) - size :]
        if size < 2 or not word:
            raise ValueError(
                f"Line {number} of {path} is not a word and numbers: {line[:40].strip()!r}; {EXPECTED_FORMAT}."
            )
        try:
            yield word, np.array(values, dtype=np.float32)
        except ValueError:
            raise ValueError(
                f"Line {number} of {path} is not a word and {size} numbers: {line[:40].strip()!r}; {EXPECTED_FORMAT}."
            ) from None


def _numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    try:
        with open(path, "rb") as probe:
            zipped = probe.read(2) == b"\x1f\x8b"
        stream: Any
        with gzip.open(path, "rt", encoding="utf-8-sig") if zipped else open(path, encoding="utf-8-sig") as stream:
            yield from ((number, line) for number, line in enumerate(stream, start=1) if line.strip())
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error.reason}); {EXPECTED_FORMAT}.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"The word vectors at {path} cannot be read ({error}); {EXPECTED_FORMAT}.") from None


def refuse_pickle(path: str | Path) -> None:
    """Raise for pickled files: published tables are often pickles, and unpickling a download runs its code."""
    name = str(path).lower().removesuffix(".gz")
    if name.endswith((".pkl", ".pickle", ".p", ".pt", ".bin")):
        raise ValueError(
            f"{path} is a pickled or binary file, which is not opened because unpickling runs code; convert a table "
            f"by hf-robust lexicon convert {path} --output table.json, which runs none, and vectors to text or .npz."
        )
