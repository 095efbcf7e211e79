"""`hf-robust methods`: list the training methods, with the cost of a step."""

from __future__ import annotations

import argparse

from hf_robust.cli.command import columns

COST = (
    "cost: a step at the defaults costs at most as much as that many steps of normal, by its counted passes; texts "
    "that a method makes beforehand cost extra."
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no flags."""


def run(options: argparse.Namespace) -> str:
    """Return a row for each training method: its name, the cost of a step, what it does, its paper."""
    from hf_robust.hub.citations import title
    from hf_robust.trainers import METHODS
    from hf_robust.training.step_passes import passes_of

    rows = []
    for name in METHODS:
        idea, _, citation = METHODS.describe(name)
        cost = f"{passes_of(METHODS[name]).steps_of_normal:.2g}"
        rows.append([name, cost, idea, f"{citation}: {title(citation)}" if citation else ""])
    return f"{columns([['method', 'cost', 'what it does', 'paper'], *rows])}\n\n{COST}"
