"""Reads and writes tables of substitutes as JSON, such as counter-fitted neighbours: {word: [substitute, ...]}."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.lexicons.base import TableLexicon
from hf_robust.words.vector_files import refuse_pickle

Table = Mapping[str, Sequence[str] | Mapping[str, int]]
_EXPECTED_FORMAT = 'a table is one JSON object {"word": ["substitute", ...], ...}, optionally gzipped'


def neighbours_lexicon(path: str | Path, relation: str = "synonym") -> TableLexicon:
    """Load the lexicon in the JSON or gzipped JSON table at ``path``; see :func:`read_table`.

    A table does not tell its relation, so ``relation`` is recorded without a check.
    """
    return TableLexicon(read_table(path), name="neighbours", relation=relation, source=str(path))


def read_table(path: str | Path) -> dict[str, list[str]]:
    """Read ``{word: [substitute, ...]}``; the content and not the name tells whether the file is gzipped.

    ``{word: {substitute: count}}`` is read too: the counts are ignored, and the order is that of the file.

    Raises:
        ValueError: the file is missing or has another format.
    """
    refuse_pickle(path)
    try:
        raw = Path(path).read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
        content = json.loads(text)
    except FileNotFoundError:
        raise ValueError(f"There is no lexicon table at {path}; give the path of a .json or .json.gz file.") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a lexicon table ({error}); {_EXPECTED_FORMAT}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {_json_kind(content)}; {_EXPECTED_FORMAT}.")
    return {word: _check_substitutes(path, word, value) for word, value in content.items()}


def _check_substitutes(path: str | Path, word: str, value: Any) -> list[str]:
    if isinstance(value, dict) and all(isinstance(count, int) for count in value.values()):
        return list(value)
    if not isinstance(value, list):
        raise ValueError(f"In {path} the entry {word!r} is a JSON {_json_kind(value)}; {_EXPECTED_FORMAT}.")
    wrong = [other for other in value if not isinstance(other, str)]
    if wrong:
        raise ValueError(f"In {path} the entry {word!r} lists {wrong[0]!r}, which is not a word; {_EXPECTED_FORMAT}.")
    return value


def _json_kind(value: Any) -> str:
    return {dict: "object", list: "array", str: "string", bool: "truth value", type(None): "null"}.get(
        type(value), "number"
    )


def write_table(table: Table, path: str | Path) -> None:
    """Write ``table`` to ``path`` as JSON, gzipped if the name ends in .gz, one word per line in alphabetical order.

    Writing is atomic, and equal tables give equal bytes.
    """
    rows = (f"{json.dumps(word)}: {json.dumps(_jsonable(table[word]))}" for word in sorted(table))
    raw = ("{\n" + ",\n".join(rows) + "\n}\n").encode()
    write_atomically(Path(path), gzip.compress(raw, mtime=0) if str(path).endswith(".gz") else raw)


def _jsonable(substitutes: Sequence[str] | Mapping[str, int]) -> list[str] | dict[str, int]:
    return dict(substitutes) if isinstance(substitutes, Mapping) else list(substitutes)


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside ``path`` and rename it, so that ``path`` never holds half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        # mkstemp creates the file with mode 0600, which would make a shared table private.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
