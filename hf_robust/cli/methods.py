"""`hf-robust methods`: list the training methods."""

from __future__ import annotations

import argparse

from hf_robust.cli.command import columns


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no flags."""


def run(options: argparse.Namespace) -> str:
    """Return a row for each training method: its name, what it does, its paper."""
    from hf_robust.hub.citations import title
    from hf_robust.trainers import METHODS

    rows = []
    for name in METHODS:
        idea, _, citation = METHODS.describe(name)
        rows.append([name, idea, f"{citation}: {title(citation)}" if citation else ""])
    return columns([["method", "what it does", "paper"], *rows])
