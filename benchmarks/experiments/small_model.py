"""What the small experiments share, which measure one model with a few seeds: their flags and their result file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.study.stored import COMMITTED
from hf_robust.runs import versions


def parser(doc: str | None, data: str) -> argparse.ArgumentParser:
    """``--data`` and ``--seeds``; from here on this process computes on one thread.

    Args:
        doc: of the script.
        data: what the folder of ``--data`` holds.
    """
    flags = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, required=True, help=f"folder with {data}")
    flags.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    torch.set_num_threads(1)
    return flags


def write(name: str, result: dict[str, Any], *shown: str) -> None:
    """Keep ``benchmarks/results/<name>.json``, with the versions it was measured with, and print parts of it."""
    text = json.dumps({**result, "versions": versions()}, indent=2)
    (COMMITTED / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(json.dumps({key: result[key] for key in shown}, indent=2))
