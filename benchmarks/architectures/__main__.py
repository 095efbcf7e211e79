"""Print how every method and attack ends on every architecture, as tiny random classifiers.

    python -m benchmarks.architectures [--architectures bert t5 ...] [--methods bat_triplet ...]

A cell is a method trained for a few steps on one architecture and attacked at the end by an attack of one kind:
fickle, obstinate, by gradient, by a population; or, in the last letter, trained at zero strength. It is ``ok``,
``refused`` in one sentence before training, or a defect (see `cells.Outcome`). The command fails if there is a defect.
Weights are random and texts few: rates mean nothing here.

Rows of all methods are written to `results/architectures.json`, of which the docs make their table. Architectures that
are in the file are not run again, unless they are named. An architecture takes about half a minute on one core.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import tempfile
from pathlib import Path

import torch
import transformers

from benchmarks.architectures.cells import DEFECTS, REFUSED, Architecture, Outcome
from benchmarks.architectures.configs import KINDS, NOT_MADE
from benchmarks.architectures.results import read, row_of, write
from benchmarks.architectures.setting import ATTACKED_AS, TOKENIZERS, Setting, dropout_of
from hf_robust.trainers import METHODS

_LETTERS = {"ok": ".", "refused": "r", "plain": "P", "strong": "Z", "late": "L", "error": "E", "silent": "S"}
ZERO = "zero strength"


def main(argv: list[str] | None = None) -> int:
    """Run the cells; returns the exit code."""
    every = [kind for kind in dict.fromkeys([*TOKENIZERS, *KINDS]) if kind not in NOT_MADE]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", choices=every, metavar="KIND")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    flags = parser.parse_args(argv)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("hf_robust").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    gc.freeze()  # accelerate collects garbage after each training
    print(f"methods from left to right: {', '.join(flags.methods)}")
    print(f"letters for attacks {', '.join(ATTACKED_AS)}, and {ZERO}: {_LETTERS}")
    stored = read()
    bad = False
    for kind in flags.architectures or [kind for kind in every if kind not in stored]:
        cells = run(kind, flags.methods)
        letters = ("".join(_LETTERS[outcome.word] for outcome in outcomes.values()) for outcomes in cells.values())
        print(f"{kind:20s} {' '.join(letters)}", flush=True)
        row = row_of(kind, cells)
        for other in row["not_ok"]:
            print(f"    {other['word']}: {other['sentence']} ({len(other['cells'])} cells: {other['cells'][:4]})")
            bad |= other["word"] in DEFECTS
        if flags.methods == list(METHODS):
            write({**read(), kind: row})
    return int(bad)


def run(kind: str, methods: list[str]) -> dict[str, dict[str, Outcome]]:
    """How each method ended on an architecture: with each kind of attack, and at zero strength."""
    with tempfile.TemporaryDirectory() as folder:
        shares = {*map(dropout_of, methods)}
        architectures = {share: Architecture(Setting(kind, Path(folder), share)) for share in shares}
        return {method: _outcomes(architectures[dropout_of(method)], method) for method in methods}


def _outcomes(architecture: Architecture, method: str) -> dict[str, Outcome]:
    outcomes = architecture.cells(method)
    first = next(iter(outcomes.values()))
    refused = all(outcome.word == REFUSED for outcome in outcomes.values())
    alone = first if refused else architecture.at_zero_strength(method)
    return {**outcomes, ZERO: alone}


if __name__ == "__main__":
    sys.exit(main())
