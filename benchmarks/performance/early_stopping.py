"""What ``--attack_until_interval`` saves: rows and seconds with and without it, and whether the interval is right.

    python -m benchmarks.performance.early_stopping --model DIR --data FILE [--attacks deepwordbug] [--widths 10 5]

Attacks all rows, then again until the interval is narrower than each width. From the results of all rows it also
computes where the attack stops in 100 other orders, and in how many of them the interval holds the rate of all rows.
Adds what it finds to ``benchmarks/results/early_stopping.json``, of which the docs make a table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_robust import attack
from hf_robust.attacks import Example
from hf_robust.attacks.engine.until import parts_until
from hf_robust.metrics import AttackRecord, ConfidenceSequence, judged_by
from hf_robust.runs import read_json, versions, write_json
from hf_robust.wiring.attack_results import AttackResults
from hf_robust.wiring.checkpoint_attack import load_classifier

ATTACKS, WIDTHS, ORDERS = ("deepwordbug",), (10.0, 5.0), 100
FILE = Path(__file__).parents[1] / "results" / "early_stopping.json"


def stops(records: Sequence[AttackRecord], until: ConfidenceSequence, seed: int) -> tuple[int, bool]:
    """The number of rows at which an attack with these results stops, and whether its interval holds their rate."""
    by_idx = {record.idx: record for record in records}
    examples = [Example(record.idx, tuple(record.original), record.label) for record in records]
    successes, total = judged_by(records)
    rate, seen = successes / total, list[AttackRecord]()
    for part in parts_until(examples, until, seed):
        seen += [by_idx[example.idx] for example in part]
        if until.is_reached(*judged_by(seen)):
            break
    low, high = until.interval(*judged_by(seen))
    return len(seen), low <= rate <= high


def timed(victim: Any, data: str, name: str, **flags: Any) -> tuple[AttackResults, dict[str, float]]:
    """The results of an attack, and its rows, queries, seconds of the processor and rates."""
    begun = time.process_time()
    results = attack(victim, data, name, attack_num_examples=0, **flags)
    seconds = time.process_time() - begun
    rates = results.history_line["attacks"][name]
    keys = ("num_examples", "robust_accuracy", "robust_accuracy_low", "robust_accuracy_high")
    queries = sum(record.queries for record in results.records[name])
    return results, {"queries": queries, "seconds": seconds, **{key: rates[key] for key in keys if key in rates}}


def measure(victim: Any, data: str, name: str, widths: Sequence[float], flags: dict[str, Any]) -> dict[str, Any]:
    """Attack all rows, and until each width; JSON-ready."""
    full, whole = timed(victim, data, name, **flags)
    records, found = full.records[name], []
    for width in widths:
        until = ConfidenceSequence(width / 100)
        others = [stops(records, until, seed) for seed in range(1, ORDERS + 1)]
        line = {"width": width, "mean_rows": statistics.mean(rows for rows, _ in others)}
        line["holds"] = statistics.mean(holds for _, holds in others)
        if len(records) >= until.rows(0.0):
            line |= timed(victim, data, name, attack_until_interval=width, **flags)[1]
        found.append(line)
    return {**whole, "until": found}


def main() -> None:
    """Measure the attacks on one file, and replace its entry in the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--title", required=True, help="what the rows and the model are, for the table")
    parser.add_argument("--attacks", nargs="+", default=ATTACKS, metavar="ATTACK")
    parser.add_argument("--widths", nargs="+", type=float, default=WIDTHS, metavar="POINTS")
    parser.add_argument("--lexicon", default="builtin")
    args = parser.parse_args()
    flags = {"lexicon": args.lexicon, "pos_tagger": "none"}
    victim = load_classifier(args.model)
    results = read_json(FILE) or {"data": {}}
    for name in args.attacks:
        found = measure(victim, args.data, name, args.widths, flags)
        print(found, flush=True)
        results["data"].setdefault(args.title, {})[name] = found
        results["versions"] = versions()
        write_json(FILE, results)


if __name__ == "__main__":
    main()
