"""Memory of an attack by the number of examples.

    python -m benchmarks.performance.attack_memory [--attacks synonym] [--sizes 100 1000 10000] [--code after]

Attacks texts of 20 words, with at most 5 queries each, on a small random model with `hf_robust.attack`, which writes
all files of `hf-robust attack`, each attack and size in a process of its own. Measures the peak of resident memory
above what the process had after an attack on 10 of the texts: when the rows are read, in the attack, and to the end of
the call with its files. torch keeps prepared kernels for up to 1,024 shapes of batches, whatever the attack; each size
is measured with them, and without them for the other numbers. Prints them, and writes
``benchmarks/results/attack_memory.json`` beside the cells of other states of the code.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, set_seed

from benchmarks.architectures.configs import tiny_config
from benchmarks.architectures.vocabularies import train_tokenizer
from benchmarks.performance.large_data import _peak_megabytes
from hf_robust import attack
from hf_robust.data.demo import demo_rows
from hf_robust.runs import versions
from hf_robust.wiring import checkpoint_attack

ATTACKS, SIZES, WARM, WORDS, BUDGET = ("synonym",), (100, 1_000, 10_000), 10, 20, 5
NO_KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "0"}
FILE = Path(__file__).parents[1] / "results" / "attack_memory.json"


def rows_of(number: int) -> list[tuple[str, int]]:
    """Random texts of words of the demo corpus, with labels."""
    words = [word for row in demo_rows("train") for word in row["sentence2"].split()]
    draw = random.Random(0)
    return [(" ".join(draw.choices(words, k=WORDS)), place % 2) for place in range(number)]


def victim() -> tuple[Any, Any]:
    """A small random model and its tokenizer."""
    tokenizer = train_tokenizer("uncased WordPiece", [row["sentence2"] for row in demo_rows("train")], 400)
    set_seed(0)
    config = tiny_config("bert", initializer_range=0.3, vocab_size=len(tokenizer))
    return AutoModelForSequenceClassification.from_config(config).eval(), tokenizer


@contextmanager
def noted_peaks(peaks: list[float]) -> Iterator[None]:
    """Note the peak of memory when the attacks begin, and when they end, before their files are written."""
    run = checkpoint_attack._run

    def measured(*args: Any) -> Any:
        peaks.append(_peak_megabytes())
        result = run(*args)
        peaks.append(_peak_megabytes())
        return result

    checkpoint_attack._run = measured
    try:
        yield
    finally:
        checkpoint_attack._run = run


def measure(name: str, size: int) -> dict[str, float]:
    """Attack ``size`` texts in this process; MB above the memory after a short attack, and seconds."""
    torch.set_num_threads(1)
    model, tokenizer = victim()
    rows = rows_of(size)
    settings: dict[str, Any] = {"lexicon": "builtin", "pos_tagger": "none", "max_seq_length": 64}
    settings["attack_query_budget"] = BUDGET
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_ROBUST_CACHE"] = f"{folder}/cache"  # the plans of an earlier measurement would be read
        attack((model, tokenizer), rows[:WARM], name, output_dir=f"{folder}/warm", **settings)
        before, begun, peaks = _peak_megabytes(), time.perf_counter(), list[float]()
        with noted_peaks(peaks):
            attack((model, tokenizer), rows, name, output_dir=f"{folder}/out", **settings)
        seconds = time.perf_counter() - begun
        journal = sum(path.stat().st_size for path in Path(folder, "out", "_attack_journal").iterdir())
    return {
        "MB before": before,
        "MB of the rows": peaks[0] - before,
        "MB of the attack": peaks[1] - before,
        "MB with files": _peak_megabytes() - before,
        "MB of the journal": journal / 2**20,
        "seconds": seconds,
    }


def main() -> None:
    """Measure all attacks and sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", nargs="+", default=ATTACKS, metavar="ATTACK")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="TEXTS")
    parser.add_argument("--code", default="after", help="Name of the state of the code. Default: after.")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.cell:
        print(json.dumps(measure(flags.cell[0], int(flags.cell[1]))))
        return
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    cells = [cell for cell in stored["cells"] if cell["code"] != flags.code]
    for name in flags.attacks:
        for size in flags.sizes:
            cell = {**_cell(name, size, NO_KERNELS), "MB with kernels": _cell(name, size, {})["MB with files"]}
            cells.append({"code": flags.code, "attack": name, "texts": size, **cell})
            print(f"{name:13s} {size:6,d}", *(f"{key} {value:8,.1f} " for key, value in cell.items()), flush=True)
            FILE.write_text(json.dumps({"versions": versions(), "cells": cells}, indent=1) + "\n", encoding="utf-8")


def _cell(name: str, size: int, environment: dict[str, str]) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.performance.attack_memory", "--cell", name, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise RuntimeError(f"{name} on {size} texts failed: {done.stderr[-500:]}")
    return {key: round(value, 1) for key, value in json.loads(done.stdout.splitlines()[-1]).items()}


if __name__ == "__main__":
    main()
