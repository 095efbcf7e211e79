"""JSON files: written atomically, and read with errors that name the file."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def finite(value: Any) -> Any:
    """The JSON value with ``null`` in place of nan and infinite numbers."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_text(path: str | os.PathLike[str], text: str | Iterable[str]) -> None:
    """Write a file atomically: write beside ``path``, then rename. Its folder is created if needed.

    ``text`` may come in parts, so that a large file is never in memory.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Files with a leading underscore are not uploaded to the Hub.
    partial = target.with_name(f"_{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.writelines([text] if isinstance(text, str) else text)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write one JSON value; nan becomes null, and values of other types are written as their text."""
    write_text(path, json.dumps(finite(value), indent=2, allow_nan=False, default=str) + "\n")


def write_json_lines(path: str | os.PathLike[str], lines: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects, one per line; nan becomes null."""
    rows = (json.dumps(finite(line), allow_nan=False, ensure_ascii=False) for line in lines)
    write_text(path, (f"{row}\n" for row in rows))


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the object in a JSON file; an absent file gives an empty object, since a run may be read before it ends.

    Raises:
        ValueError: the file is malformed or does not hold an object.
    """
    path = Path(path)
    if not path.is_file():
        return {}
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error.msg}, line {error.lineno}); delete it or run again.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}); delete it or run again.") from None
    if not isinstance(parsed, dict):
        raise ValueError(f"{path} must hold an object, got {type(parsed).__name__}; delete it or run again.")
    return parsed


def read_json_lines(path: str | os.PathLike[str], warn: bool = True) -> list[dict[str, Any]]:
    """Read the JSON objects of a file, one per line; see ``each_json_line``."""
    return list(each_json_line(path, warn))


def each_json_line(path: str | os.PathLike[str], warn: bool = True) -> Iterator[dict[str, Any]]:
    """Read the JSON objects of a file, one per line, one at a time; an incomplete last line is left out.

    Args:
        warn: log an incomplete last line as a warning; False for a file that another process may be writing.

    Raises:
        ValueError: another line is not a JSON object.
    """
    wrong: ValueError | None = None
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if wrong is not None:  # it was not the last line
                raise wrong
            try:
                value = json.loads(line)
            except ValueError as error:
                wrong = ValueError(f"{path}, line {number} is not JSON ({error}); delete the file to measure again.")
                continue
            if not isinstance(value, dict):
                raise ValueError(f"{path}, line {number} must be a JSON object, got {type(value).__name__}.")
            yield value
    if wrong is not None:
        level = logging.WARNING if warn else logging.DEBUG
        logger.log(level, "%s: the last line is incomplete and is left out.", path)


def is_torn(path: str | os.PathLike[str]) -> bool:
    """Whether the last line of a JSON lines file is incomplete."""
    last = Path(path).read_text(encoding="utf-8").rpartition("\n")[2]
    try:
        json.loads(last or "{}")
    except json.JSONDecodeError:
        return bool(last.strip())
    return False
