"""Every figure that needs a GPU, measured on one card in one run of less than ten minutes.

    python -m benchmarks.performance.gpu [--model minilm] [--minutes 9] [--parts training attack ...] [--smoke]

The parts are measured in this order, and a part that would begin after ``--minutes`` is left out and named:

- ``training``: texts a second and utilisation of training, in float32 and bfloat16;
- ``attack``: queries a second of the engine, against one example at a time as TextAttack attacks, in both types;
- ``budget``: seconds of the attack's texts in the model alone, by the number of tokens in a batch;
- ``memory``: a batch that does not fit is halved until it fits, and its scores are those of small batches;
- ``sharded``: FSDP2 on the card trains what the whole model does, for each method;
- ``cost``: a step of each method relative to `normal` at batch 128, in both types (`benchmarks.performance.cost`).

Writes ``benchmarks/results/gpu.json`` after each part, from which the docs make their tables. A part that fails is
named with its error, and the others go on; the exit code is then 1. ``--smoke`` measures a tiny random model with few
texts on whatever device there is; its numbers mean nothing, and it writes only to ``--output``.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.architectures.setting import Setting as TinySetting
from benchmarks.experiments import sharded
from benchmarks.performance import cost
from benchmarks.performance.cost_setting import StepClock, build, synthetic_rows
from benchmarks.performance.stopwatch import Row, machine, mean_row, stopwatch
from benchmarks.performance.throughput_runs import GPU_BUDGETS, Bound, Case, RecordingVictim, native
from benchmarks.study.packaged import PACKAGED_MODELS, packaged_model
from benchmarks.study.stored import COMMITTED
from hf_robust.attacks import Example, Resources
from hf_robust.attacks.engine.memory import CPU_TOKENS, GPU_TOKENS, means_out_of_memory
from hf_robust.lexicons import load_lexicon
from hf_robust.runs import versions, write_json
from hf_robust.words import NLTK_STOP_WORDS

TYPES = ("float32", "bfloat16")
TRAINED = ("normal", "freelb", "pgd")
"""The methods whose throughput is measured; the part ``cost`` has all of them."""
RECIPES = ("textfooler", "deepwordbug")
SMALL = 2048
"""Tokens of a batch that surely fits, beside which the part ``memory`` sets its limit."""


@dataclass
class Sizes:
    """How much is measured."""

    batch: int = 128
    length: int = 64
    steps: int = 20
    examples: int = 200
    single: int = 8
    """Examples that are attacked one at a time; the two ways are compared by seconds for a query."""
    budgets: Sequence[int] = GPU_BUDGETS
    small: int = SMALL
    cost: Sequence[str] = ("--steps", "3", "--rounds", "3")
    sharded: Sequence[str] = tuple(sharded.RUNS)


SMOKE = Sizes(
    4, 12, 2, 4, 2, (32, 256), 32, ("--steps", "1", "--rounds", "1", "--methods", "normal", "freelb"), ("normal",)
)


@dataclass
class Bench:
    """The model, its folder, the sizes and the device that all parts share."""

    folder: str
    sizes: Sizes
    device: torch.device
    model: Any = field(init=False)
    tokenizer: Any = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.model = AutoModelForSequenceClassification.from_pretrained(self.folder, num_labels=2).to(self.device)
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)

    def cost_flags(self, kind: str, *more: str) -> argparse.Namespace:
        """The flags of the cost benchmark at these sizes."""
        sizes = self.sizes
        flags = ["--model", self.folder, "--batch_size", str(sizes.batch), "--length", str(sizes.length)]
        return cost.parse([*flags, *more, *["--bf16"] * (kind == "bfloat16")])

    def victim(self, kind: str, **options: Any) -> RecordingVictim:
        """The model as a victim in that type, with all counters at zero."""
        autocast = partial(torch.autocast, self.device.type, dtype=torch.bfloat16) if kind == "bfloat16" else None
        return RecordingVictim(
            self.model, self.tokenizer, max_length=self.sizes.length, autocast=autocast or nullcontext, **options
        )

    def case(self, kind: str) -> Case:
        """Texts of words that have substitutes, with the labels that the model predicts, so that each is attacked."""
        rows = synthetic_rows(self.sizes.examples, self.sizes.length // 2, seed=0)
        texts = [(str(row["sentence"]),) for row in rows]
        victim = self.victim(kind)
        labels = victim.probabilities(texts).argmax(-1)
        examples = [
            Example(number, text, int(label)) for number, (text, label) in enumerate(zip(texts, labels, strict=True))
        ]
        resources = Resources(synonyms=load_lexicon("builtin", "synonym"), stop_words=NLTK_STOP_WORDS)
        return Case(victim, examples, ("sentence",), resources)


# ---- the parts ----


def training(bench: Bench) -> list[Row]:
    """Texts a second, utilisation, and peak memory of training, by type and method."""
    rows = []
    for kind in TYPES:
        with cost.prepared(bench.cost_flags(kind, "--steps", str(bench.sizes.steps))) as setting:
            for name in TRAINED:
                trainer, clock = build(name, setting, bench.sizes.steps + 1), StepClock()
                trainer.add_callback(clock)
                with stopwatch(bench.device) as usage:
                    trainer.train()
                seconds = clock.mean()["seconds"]
                rows.append(
                    {"type": kind, "method": name, "batch": bench.sizes.batch, "seconds": seconds}
                    | {"texts_per_second": bench.sizes.batch / seconds, "utilization": usage.utilization}
                )
    return rows


def attack(bench: Bench) -> list[Row]:
    """Queries a second of each recipe: the engine, and one example at a time."""
    rows = []
    for kind in TYPES:
        case = bench.case(kind)
        for name in RECIPES:
            recipe = case.recipe(name)
            native(case, recipe, examples=case.examples[: bench.sizes.single])  # warm-up
            engine, records = native(case, recipe)
            single, alone = native(case, recipe, examples=case.examples[: bench.sizes.single], one_at_a_time=True)
            same = sum(
                (one.status, one.perturbed) == (other.status, other.perturbed)
                for one, other in zip(records, alone, strict=False)
            )
            rows.append(
                {"type": kind, "recipe": name, "engine": engine, "one_at_a_time": single, "same": same}
                | {"speed_up": engine["queries_per_second"] / single["queries_per_second"]}
            )
    return rows


def budget(bench: Bench) -> Row:
    """Seconds of the texts of one attack in the model alone, by token budget and type."""
    found: Row = {"default": CPU_TOKENS if bench.device.type == "cpu" else GPU_TOKENS, "types": {}}
    for kind in TYPES:
        case = bench.case(kind)
        victim = bench.victim(kind)
        native(case, case.recipe(RECIPES[0]), victim=victim)
        bound = Bound(victim, victim.recorded.values())
        found["types"][kind] = [_bound_row(bound, tokens) for tokens in bench.sizes.budgets]
    return found


def _bound_row(bound: Bound, tokens: int) -> Row:
    try:
        return mean_row([bound.run(tokens) for _ in range(2)])
    except RuntimeError as error:
        if not means_out_of_memory(error):
            raise
        return {"budget": tokens, "out_of_memory": True}


def memory(bench: Bench) -> Row:
    """Scores of texts whose batches do not fit into memory, against those of small batches."""
    sizes = bench.sizes
    texts = [
        (str(row["sentence"]),) for row in synthetic_rows(8 * max(sizes.budgets) // sizes.length, sizes.length, 1)
    ]
    small = bench.victim("float32", token_budget=sizes.small)
    expected = small.score(texts).logits
    with _little_memory(bench, small, texts) as options:
        large = bench.victim("float32", token_budget=max(sizes.budgets), **options)
        found = large.score(texts).logits
    assert expected is not None and found is not None
    return {
        "asked": max(sizes.budgets),
        "lowered_to": large.token_budget,
        "batches": large.forwards,
        "texts": len(texts),
        "largest_difference": float(np.abs(found - expected).max()),
        "limit": "allocator" if bench.device.type == "cuda" else "simulated",
    }


@contextmanager
def _little_memory(bench: Bench, small: RecordingVictim, texts: Sequence[tuple[str]]) -> Iterator[dict[str, Any]]:
    """Let a batch take at most three times the memory of a small one; yields further options of the victim.

    Where the device is not a GPU, whose allocator can be limited, a batch above the limit raises the same error.
    """
    if bench.device.type != "cuda":
        yield {"inference": partial(_limited, tokens=3 * bench.sizes.small)}
        return
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(bench.device)
    torch.cuda.reset_peak_memory_stats(bench.device)
    small.score(texts[: bench.sizes.small // bench.sizes.length])
    peak = torch.cuda.max_memory_allocated(bench.device) - before
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(bench.device).total_memory
    # The limit is on what the allocator reserves, which is more than what is in use.
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(bench.device) + 3 * peak) / total)
    try:
        yield {}
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _limited(model: Any, batch: dict[str, Any], tokens: int) -> Any:
    if batch["input_ids"].numel() > tokens:
        raise torch.OutOfMemoryError("simulated: out of memory")
    return model(**batch)


def shards(bench: Bench) -> dict[str, Any]:
    """How far the weights of each method on FSDP2's shards are from those of the whole model, on one process."""
    with tempfile.TemporaryDirectory() as folder:
        return sharded.compare(bench.sizes.sharded, Path(folder), processes=1, gpu=bench.device.type == "cuda")


def costs(bench: Bench) -> dict[str, Any]:
    """The cost of a step of each method, by type."""
    found = {}
    for kind in TYPES:
        with cost.prepared(bench.cost_flags(kind, *bench.sizes.cost)) as setting:
            found[kind] = cost.measure(setting)
    return found


PARTS: dict[str, Callable[[Bench], Any]] = {
    "training": training,
    "attack": attack,
    "budget": budget,
    "memory": memory,
    "sharded": shards,
    "cost": costs,
}


# ---- all of it ----


def measure(bench: Bench, flags: argparse.Namespace, path: Path) -> Row:
    """Measure the parts while there is time, and write the result after each."""
    start = time.monotonic()
    result: Row = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "smoke": flags.smoke,
        "machine": machine(bench.device),
        "versions": versions(),
        "model": flags.model if flags.model in PACKAGED_MODELS else Path(flags.model).name,
        "sizes": {key: value for key, value in vars(bench.sizes).items() if key not in ("cost", "sharded")},
        "seconds": {},
        "left_out": {},
        "parts": {},
    }
    for name in flags.parts:
        began = time.monotonic()
        if began - start > 60 * flags.minutes:
            result["left_out"][name] = f"{flags.minutes:g} minutes were over; measure it by --parts {name}"
        else:
            print(f"{name} ...", flush=True)
            try:
                result["parts"][name] = PARTS[name](bench)
            except (RuntimeError, ValueError, AssertionError, OSError) as error:
                result["left_out"][name] = f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"
            result["seconds"][name] = time.monotonic() - began
        write_json(path, result)
    return result


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="minilm", help=f"{', '.join(PACKAGED_MODELS)}, or a folder")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS), metavar="PART")
    parser.add_argument("--minutes", type=float, default=9, help="no part begins after this time")
    parser.add_argument("--smoke", action="store_true", help="a tiny model on any device, to try the script itself")
    parser.add_argument("--output", type=Path, default=COMMITTED, help="folder of gpu.json")
    flags = parser.parse_args(argv)
    if not torch.cuda.is_available() and not flags.smoke:
        parser.error("torch finds no GPU; run it on a machine with one, or try the script itself by --smoke.")
    if flags.smoke and flags.output == COMMITTED:
        parser.error("--smoke needs --output: its numbers mean nothing and are not kept beside the results.")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    flags = parse(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as scratch:
        if flags.smoke:
            tiny = TinySetting("bert", Path(scratch))
            tiny.model().save_pretrained(scratch)
            tiny.tokenizer.save_pretrained(scratch)
            flags.model = scratch
        folder = packaged_model(flags.model) if flags.model in PACKAGED_MODELS else flags.model
        flags.output.mkdir(parents=True, exist_ok=True)
        path = flags.output / "gpu.json"
        result = measure(Bench(folder, SMOKE if flags.smoke else Sizes(), device), flags, path)
    for name, reason in result["left_out"].items():
        print(f"{name} is left out: {reason}")
    print(f"{', '.join(result['parts']) or 'nothing'} written to {path}")
    return 1 if result["left_out"] else 0


if __name__ == "__main__":
    sys.exit(main())
