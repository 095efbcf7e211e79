"""Remove what must not be published with a model: access tokens and folders of the machine."""

from __future__ import annotations

import os
import re
from pathlib import Path, PureWindowsPath
from typing import Any

_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")  # the length excludes hf_robust
_EMBEDDED_PATH = re.compile(r"(?<![\w:/.~])/(?:[^\s/,;:()]+/)+[^\s/,;:()]+")
_HIDDEN = "<removed>"


def redact(value: Any) -> Any:
    """The JSON value with all absolute paths shortened (see `portable_path`) and all access tokens removed."""
    if isinstance(value, dict):
        return {key: redact(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(inner) for inner in value]
    return redact_text(value) if isinstance(value, str) else value


def portable_path(path: str) -> str:
    """An absolute path relative to the working folder if it lies inside, else its last part; other paths unchanged."""
    if os.path.isabs(path):
        full, here = Path(os.path.normpath(path)), Path.cwd()
        return full.relative_to(here).as_posix() if full.is_relative_to(here) else full.name
    windows = PureWindowsPath(path)
    return windows.name if windows.drive and windows.is_absolute() else path


def redact_text(text: str) -> str:
    """A text with its absolute paths shortened and its access tokens removed."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme.isalpha() and len(scheme) > 1 and os.path.isabs(rest) and not rest.startswith("//"):
        return f"{scheme}:{portable_path(rest)}"  # "vectors:/data/glove.txt"
    text = _EMBEDDED_PATH.sub(lambda match: portable_path(match.group()), portable_path(text))
    return _TOKEN.sub(_HIDDEN, text)
