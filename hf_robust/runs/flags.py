"""Flags by name, as a command line or an args file gives them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Flags = dict[str, Any]


def read_args_file(path: str) -> Flags:
    """Flags by name from a JSON object; null leaves a flag at its default, keys that begin with _ are remarks."""
    try:
        flags = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the args file {path} cannot be read: {error}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"the args file {path} is not JSON: {error}.") from error
    if not isinstance(flags, dict):
        raise ValueError(f"the args file {path} must hold one object of flags, got a {type(flags).__name__}.")
    return without_remarks(flags)


def without_remarks(flags: Mapping[str, Any]) -> Flags:
    """The flags of an args file by the names of their fields, without nulls and keys that begin with _."""
    return {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in flags.items()
        if value is not None and not name.startswith("_")
    }


def flags_of(tokens: Iterable[str]) -> Flags:
    """Flags of a command line by name: True without a value, a string with one, a list with more."""
    flags: Flags = {}
    for name, values in _grouped(tokens):
        if name is not None:
            flags[name] = True if not values else values[0] if len(values) == 1 else values
    return flags


def _grouped(tokens: Iterable[str]) -> list[tuple[str | None, list[str]]]:
    groups: list[tuple[str | None, list[str]]] = []
    for token in tokens:
        if token.startswith("--") and len(token) > 2:
            name, equals, value = token[2:].partition("=")
            groups.append((name.replace("-", "_"), [value] if equals else []))
        elif groups:
            groups[-1][1].append(token)
        else:
            groups.append((None, [token]))
    return groups
