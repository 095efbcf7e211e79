"""What several attacks in one evaluation save by sharing the victim's answers (`SharedAnswers`).

    python -m benchmarks.performance.shared_answers --model DIR --data FILE --num 30 --lexicon counterfitted.json.gz \
        --recipes textbugger textfooler deepwordbug pwws --output FILE

The attacks run one after another on the same correctly classified rows, without sharing and with it in turns, in one
thread and with kept plans. Outcomes and queries must be equal; the passes of the model and processor seconds differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch

from benchmarks.performance.stopwatch import CLOCKS, Row, load_average, machine, mean_row, stopwatch
from benchmarks.performance.throughput import add_titled_flags, prepare, run_titled, settings
from benchmarks.performance.throughput_runs import Case
from benchmarks.performance.throughput_tables import saved_passes
from hf_robust.attacks import ATTACKS, Plans, attack_dataset
from hf_robust.runs import versions

WAYS = {"apart": False, "shared": True}


def measure(args: argparse.Namespace) -> Row:
    """Counts and mean seconds of both ways, as one JSON-ready dict."""
    torch.set_num_threads(1)
    load = load_average()
    case, _, _ = prepare(args)
    plans = Plans()
    for name in args.recipes:
        for example in case.examples:
            plans.get(case.recipe(name), example)
    case.new_victim().probabilities([example.texts for example in case.examples])  # the first forwards are slower
    rows: dict[str, list[Row]] = {way: [] for way in WAYS}
    outcomes: dict[str, Any] = {}
    for turn in range(args.rounds):
        for way in list(WAYS)[:: -1 if turn % 2 else 1]:
            row, outcomes[way] = run(case, args.recipes, plans, WAYS[way])
            rows[way].append(row)
            print(f"{way}: {row['forwarded']:,} passes, {row['cpu_seconds']:.1f} s of the processor", flush=True)
    return {
        "settings": settings(args),
        "versions": versions(),
        "machine": machine(case.victim.device),
        "load_average": {"start": load, "end": load_average()},
        "ways": {way: mean_row(found) for way, found in rows.items()},
        "same_outcomes": outcomes["apart"] == outcomes["shared"],
    }


def run(case: Case, names: Sequence[str], plans: Plans, shared: bool) -> tuple[Row, list[Any]]:
    """One run of all attacks: its counts and seconds, and the outcome of each example."""
    victim, outcomes = case.new_victim(), []
    with stopwatch(victim.device) as usage, victim.answers.kept() if shared else nullcontext():
        for name in names:
            records = attack_dataset(
                case.recipe(name), victim, case.examples, plans=plans, seed=case.seed, progress=False
            )
            outcomes += [(name, record.idx, record.status, record.perturbed, record.queries) for record in records]
    counts = {"examples": len(case.examples), "queries": sum(queries for *_, queries in outcomes)}
    counts |= {"forwarded": victim.forwarded, "recalled": victim.answers.recalled}
    return counts | {clock: getattr(usage, clock) for clock in CLOCKS}, outcomes


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recipes", nargs="+", required=True, choices=list(ATTACKS), metavar="RECIPE")
    parser.add_argument("--rounds", type=int, default=2, help="rounds; seconds are means over them")
    add_titled_flags(parser, 30)
    return run_titled(parser, argv, measure, saved_passes)


if __name__ == "__main__":
    raise SystemExit(main())
