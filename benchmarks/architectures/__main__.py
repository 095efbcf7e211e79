"""Print how every method and attack ends on every architecture, as tiny random classifiers.

    python -m benchmarks.architectures [--architectures bert t5 ...] [--methods bat_triplet ...]

A cell is a method trained for a few steps on one architecture and attacked at the end by an attack of one kind:
fickle, obstinate, by gradient, by a population. It is ``ok``, ``refused`` in one sentence before training, or a defect
(see `cells.Outcome`). The command fails if there is a defect. Weights are random and texts few: rates mean nothing
here. All cells take about half an hour on one core.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
import transformers

from benchmarks.architectures.cells import DEFECTS, OK, Architecture, Outcome
from benchmarks.architectures.configs import KINDS
from benchmarks.architectures.setting import ATTACKED_AS, TOKENIZERS, Setting
from hf_robust.trainers import METHODS

_LETTERS = {"ok": ".", "refused": "r", "plain": "P", "late": "L", "error": "E", "silent": "S"}


def main(argv: list[str] | None = None) -> int:
    """Run the cells; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=list(TOKENIZERS), choices=[*TOKENIZERS, *KINDS])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    flags = parser.parse_args(argv)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("hf_robust").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    reasons: dict[Outcome, list[str]] = defaultdict(list)
    print(f"methods from left to right: {', '.join(flags.methods)}")
    print(f"four letters each, for attacks {', '.join(ATTACKED_AS)}: {_LETTERS}")
    for kind in flags.architectures:
        with tempfile.TemporaryDirectory() as folder:
            architecture = Architecture(Setting(kind, Path(folder)))
            row = {method: architecture.cells(method) for method in flags.methods}
        letters = ("".join(_LETTERS[outcome.word] for outcome in cells.values()) for cells in row.values())
        print(f"{kind:15s} {' '.join(letters)}", flush=True)
        for method, cells in row.items():
            for attack, outcome in cells.items():
                if outcome.word != OK:
                    reasons[outcome].append(f"{kind}/{method}/{attack}")
    for outcome, places in sorted(reasons.items()):
        print(f"\n{outcome.word}: {outcome.sentence}\n  {len(places)} cells: {' '.join(places[:12])}")
    return int(any(outcome.word in DEFECTS for outcome in reasons))


if __name__ == "__main__":
    sys.exit(main())
