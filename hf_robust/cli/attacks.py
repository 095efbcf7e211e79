"""`hf-robust attacks`: list the attacks."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from hf_robust.cli.command import columns


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no flags."""


def run(options: argparse.Namespace) -> str:
    """Return a row for each attack: its name and what it does."""
    from hf_robust.attacks import ATTACKS
    from hf_robust.attacks.arguments import STANDARD
    from hf_robust.attacks.standard import member_names

    rows = [[name, _first_line(sys.modules[recipe.__module__], name)] for name, recipe in ATTACKS.items()]
    listed = f"a fixed list of attacks as one, for numbers that can be compared: {', '.join(member_names())}"
    return columns([["attack", "what it does"], *rows, [STANDARD, listed]])


def _first_line(module: Any, name: str) -> str:
    line = (module.__doc__ or "").strip().split("\n")[0]
    return line.removeprefix(f"The {name} attack: ")
