"""Take out of a value what must not be published with a model: access tokens and the folders of one machine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")  # long, so that hf_robust is none
_EMBEDDED_PATH = re.compile(r"(?<![\w:/.~])/(?:[^\s/,;:()]+/)+[^\s/,;:()]+")
_TOKEN_FLAG = re.compile(r"^--[\w-]*(?:token|api[_-]?key|password|secret)(?P<given>=.*)?$")
_HIDDEN = "<removed>"


def redact(value: Any) -> Any:
    """The same JSON value with every absolute path shortened (see `portable_path`) and every access token removed."""
    if isinstance(value, dict):
        return {key: redact(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(inner) for inner in value]
    return _redact_text(value) if isinstance(value, str) else value


def redact_command(command: Sequence[str]) -> list[str]:
    """A command line fit for publication: token flags left out with their values, absolute paths shortened."""
    safe: list[str] = []
    secret_follows = False
    for argument in command:
        if secret_follows and not argument.startswith("--"):
            secret_follows = False
            continue
        token_flag = _TOKEN_FLAG.match(argument)
        secret_follows = token_flag is not None and token_flag["given"] is None
        if token_flag is not None:
            continue
        flag, equals, given = argument.partition("=")
        in_flag = equals and flag.startswith("--")
        safe.append(f"{flag}={_redact_text(given)}" if in_flag else _redact_text(argument))
    return safe


def portable_path(path: str) -> str:
    """An absolute path as seen from the working folder if it lies inside, else its last part; others unchanged."""
    if os.path.isabs(path):
        full, here = Path(os.path.normpath(path)), Path.cwd()
        return full.relative_to(here).as_posix() if full.is_relative_to(here) else full.name
    windows = PureWindowsPath(path)
    return windows.name if windows.drive and windows.is_absolute() else path


def _redact_text(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    if colon and scheme.isalpha() and len(scheme) > 1 and os.path.isabs(rest) and not rest.startswith("//"):
        return f"{scheme}:{portable_path(rest)}"  # "vectors:/data/glove.txt"
    text = _EMBEDDED_PATH.sub(lambda found: portable_path(found.group()), portable_path(text))
    return _TOKEN.sub(_HIDDEN, text)
