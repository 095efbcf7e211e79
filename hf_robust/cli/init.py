"""`hf-robust init`: write the args file of the demo."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

ARGS_FILE = "demo.json"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=Path(ARGS_FILE),
        metavar="FILE",
        help=f"Args file to write. Default: {ARGS_FILE}.",
    )


def run(options: argparse.Namespace) -> str:
    """Write the args file, and return the command that trains from it.

    Raises:
        ValueError: the file exists, is no .json file, or cannot be written.
    """
    file: Path = options.file
    if file.suffix != ".json":
        raise ValueError(f"the script reads args files that end in .json, got {file}: give another FILE.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as output:
            output.write(files("hf_robust.cli").joinpath(ARGS_FILE).read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise ValueError(f"{file} exists: give another FILE, or delete it first.") from error
    except OSError as error:
        raise ValueError(f"{file} cannot be written ({error}): give another FILE.") from error
    return f"{file}: a small model on the demo corpus, in a few minutes, by: hf-robust train {file}"
