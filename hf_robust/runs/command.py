"""Command lines and args files: flags by name, and the command of a run in a form that may be published.

The published command can be pasted: it has no token, no args file, and placeholders for folders of the machine.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from hf_robust.runs.redaction import portable_path, redact_text

Flags = dict[str, Any]


TRAIN_COMMAND = "run_glue_robust"
"""The training script as run cards name it: its console command, which is also its module."""


def is_training_script(program: str) -> bool:
    """Whether a program is the training script; older run cards have ``run_glue_robust.py``.

    >>> is_training_script("run_glue_robust"), is_training_script("run_glue_robust.py"), is_training_script("mine.py")
    (True, True, False)
    """
    return Path(program).name.removesuffix(".py") == TRAIN_COMMAND


def read_args_file(path: str) -> Flags:
    """Read flags by name from a JSON object; null keeps the default, keys that begin with _ are remarks."""
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
    """The flags of an args file by field name, without nulls and without keys that begin with _."""
    return {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in flags.items()
        if value is not None and not name.startswith("_")
    }


def flags_of(tokens: Iterable[str]) -> Flags:
    """Flags of a command line by name: True without a value, a string for one value, a list for more."""
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


_TOKEN_FLAG = re.compile(r"^--[\w-]*(?:token|api[_-]?key|password|secret)(?P<value>=.*)?$")
_SCHEME = re.compile(r"[A-Za-z]{2,}:(?!//)")
# Programs that do not tell what was run: a notebook, a string of code, the main of a module.
_NO_PROGRAM = ("", "-c", "-m", "__main__.py", "ipykernel_launcher.py")
_PLACEHOLDER_FLAGS = {
    "DATA_DIR": ("train_file", "validation_file", "test_file", "dataset_name", "glue_dir", "data"),
    "MODEL_DIR": ("", "model_name_or_path", "config_name", "tokenizer_name", "view_victim", "twin"),
}
_OTHER_PLACEHOLDER = "FILES_DIR"
SEEDS = 2**32
"""Number of seeds that numpy's generators, which the Trainer and scikit-learn use, can tell apart."""
PLACEHOLDERS = re.compile(rf"\b(?:{'|'.join([*_PLACEHOLDER_FLAGS, _OTHER_PLACEHOLDER])})(?:_\d+)?(?=/)")
"""Placeholders in a command for folders outside the working folder; the user fills them in."""


def redact_command(command: Sequence[str]) -> list[str]:
    """A command line (``sys.argv``) in a form that may be published and pasted; empty if the program is unknown.

    The flags of an args file replace the file. Token flags are removed with their values. Paths inside the working
    folder become relative. For other paths the folder becomes a placeholder, one for each folder:
    ``DATA_DIR/train.jsonl``, ``MODEL_DIR/bert``, ``FILES_DIR/table.json``. An ``--output_dir`` outside becomes a
    folder below the working folder.

    >>> redact_command(["run_glue_robust", "--hub_token", "x", "--train_file", "/home/me/train.jsonl"])
    ['run_glue_robust', '--train_file', 'DATA_DIR/train.jsonl']
    """
    if not command or os.path.basename(command[0]) in _NO_PROGRAM:
        return []
    folders, flag = _Folders(), ""
    # A script outside the working folder is reduced to its name.
    safe = [_outside(command[0])[1] or portable_path(command[0])]
    for word in _without_tokens(_without_args_file(command[1:])):
        name, equals, value = word.partition("=")
        if name.startswith("--") and len(name) > 2:
            flag = name[2:].replace("-", "_")
            safe.append(f"{name}={folders.shown(value, flag)}" if equals else word)
        else:
            safe.append(folders.shown(word, flag))
    return safe


def command_words(flags: Mapping[str, Any]) -> Iterator[str]:
    """Flags of an args file as words of a command line, without empty lists, which a command line cannot express."""
    for name, value in flags.items():
        values = [_word(one) for one in (value if isinstance(value, list) else [value])]
        if len(values) == 1 and values[0].startswith("-"):
            yield f"--{name}={values[0]}"
        elif values:
            yield from (f"--{name}", *values)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _without_args_file(words: Sequence[str]) -> Sequence[str]:
    """Replace an args file by its flags, without those that later flags of the command override."""
    if not (words and words[0].endswith(".json") and Path(words[0]).is_file()):
        return words
    overriding = flags_of(words[1:])
    file_flags = {name: value for name, value in read_args_file(words[0]).items() if name not in overriding}
    return [*command_words(file_flags), *words[1:]]


def _without_tokens(words: Sequence[str]) -> Iterator[str]:
    secret_follows = False
    for word in words:
        if secret_follows and not word.startswith("--"):
            secret_follows = False
            continue
        token_flag = _TOKEN_FLAG.match(word)
        secret_follows = token_flag is not None and token_flag["value"] is None
        if token_flag is None:
            yield word


class _Folders:
    """Placeholders for the folders outside the working folder, one for each folder of a command."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}

    def shown(self, word: str, flag: str) -> str:
        """The value of a flag, or a word before the first flag, in a form that may be published."""
        scheme = match[0] if (match := _SCHEME.match(word)) else ""  # "vectors:/data/glove.txt"
        path = word[len(scheme) :]
        folder, name = _outside(path)
        if not name:
            return scheme + redact_text(path)
        return name if flag == "output_dir" else f"{scheme}{self._name(folder, flag)}/{name}"

    def _name(self, folder: str, flag: str) -> str:
        kind = next((kind for kind, flags in _PLACEHOLDER_FLAGS.items() if flag in flags), _OTHER_PLACEHOLDER)
        known = [of for of, _ in self._names if of == kind]
        return self._names.setdefault((kind, folder), f"{kind}_{len(known) + 1}" if known else kind)


def _outside(path: str) -> tuple[str, str]:
    """Folder and name of a path outside the working folder; both are empty for other paths and words."""
    windows = PureWindowsPath(path)
    if windows.drive and windows.is_absolute() and not os.path.isabs(path):
        return str(windows.parent), windows.name
    if not (os.path.isabs(path) or path == ".." or path.startswith("../")):
        return "", ""
    full = Path(os.path.normpath(Path.cwd() / path))
    return ("", "") if full.is_relative_to(Path.cwd()) else (str(full.parent), full.name)
