"""JSON on disk: written whole or not at all, and read with errors that name the file."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def finite(value: Any) -> Any:
    """The same JSON value with ``null`` for every number that does not exist."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write beside ``path`` and rename, so that no reader, and no crash, ever meets half a file; makes its folder."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The underscore keeps it from an upload to the Hub that runs at the same time.
    partial = target.with_name(f"_{target.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write one JSON value; a number that does not exist is null, and what is no JSON value is its text."""
    write_text(path, json.dumps(finite(value), indent=2, allow_nan=False, default=str) + "\n")


def write_json_lines(path: str | os.PathLike[str], lines: Iterable[Mapping[str, Any]]) -> None:
    """Write objects, one a line; a number that does not exist is null."""
    rows = (json.dumps(finite(line), allow_nan=False, ensure_ascii=False) for line in lines)
    write_text(path, "".join(f"{row}\n" for row in rows))


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file; an absent file is an empty one, since a run may be read before it ends.

    Raises:
        ValueError: the file holds something else, or was cut off.
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
    """The JSON objects of a file, one a line; a last line that was cut off while being written is left out.

    Args:
        warn: log such a line; False for a file that another process may be writing.

    Raises:
        ValueError: another line is not a JSON object.
    """
    lines = Path(path).read_bytes().split(b"\n")
    last = max((number for number, line in enumerate(lines) if line.strip()), default=-1)
    found = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            if number == last:
                level = logging.WARNING if warn else logging.DEBUG
                logger.log(level, "%s: the last line was cut off while being written; it is left out.", path)
                continue
            raise ValueError(
                f"{path}, line {number + 1} is not JSON ({error}); delete the file to measure again."
            ) from error
        if not isinstance(value, dict):
            raise ValueError(f"{path}, line {number + 1} must be a JSON object, got {type(value).__name__}.")
        found.append(value)
    return found


def is_torn(path: str | os.PathLike[str]) -> bool:
    """Whether the last line of a JSON lines file was cut off while it was written."""
    last = Path(path).read_text(encoding="utf-8").rpartition("\n")[2]
    try:
        json.loads(last or "{}")
    except json.JSONDecodeError:
        return bool(last.strip())
    return False
