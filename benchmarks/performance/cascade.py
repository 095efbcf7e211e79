"""What the standard costs as a cascade, and its attacks one by one on all examples: the same number, other costs.

    python -m benchmarks.performance.cascade --model FOLDER --data FILE [--lexicon TABLE] [--examples 100]

The model is a fine-tuned classifier. Checks that the cascade and the union of its attacks have the same outcome on
each example. Writes ``benchmarks/results/cascade.json``. Needs ``NLTK_DATA``.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import torch

from benchmarks.experiments.small_model import write_result
from hf_robust.attacks import AttackArguments, Cascade, Plans, Victim, attack_dataset, build_attacks
from hf_robust.attacks.engine.examples import choose_examples
from hf_robust.attacks.engine.ranks import attack_on_ranks
from hf_robust.data import TextDataset
from hf_robust.data.files import read_rows
from hf_robust.metrics import AttackRecord, cascade_history, union_of_attacks
from hf_robust.runs import Ranks
from hf_robust.wiring.checkpoint_attack import load_classifier


def main() -> None:
    parser = argparse.ArgumentParser(
        description=str(__doc__).split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder of a fine-tuned classifier")
    parser.add_argument("--data", required=True, help="file of labelled sentences")
    parser.add_argument("--lexicon", default="wordnet", help="as of `hf-robust attack`; default: wordnet")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--max_length", type=int, default=64)
    flags = parser.parse_args()
    model, tokenizer = load_classifier(flags.model)
    rows = TextDataset(read_rows(flags.data), ("sentence",), tokenizer, max_length=flags.max_length)
    examples = choose_examples(rows, flags.examples, 0)
    arguments = AttackArguments(attacks=["standard"], lexicon=flags.lexicon)
    cascade = build_attacks(arguments, None, None, ["0", "1"], ["sentence"])["standard"]
    assert isinstance(cascade, Cascade)
    victim = Victim(model, tokenizer, max_length=flags.max_length)
    # What does not depend on the model is planned once for both.
    plans = Plans()
    for member in cascade.members:
        planner = plans.planner(member)
        for example in examples:
            planner(example)
    options: dict[str, Any] = {"journals": None, "ranks": Ranks(), "plans": plans, "progress": False}
    joined = attack_on_ranks(cascade, victim, examples, "", **options)
    alone: dict[str, list[AttackRecord]] = {}
    costs = {}
    for member in cascade.members:
        start = time.perf_counter()
        alone[member.name] = attack_dataset(member, victim, examples, plans=plans, progress=False)
        seconds, queries = time.perf_counter() - start, sum(record.queries for record in alone[member.name])
        failed = sum(record.status == "failed" for record in alone[member.name])
        costs[member.name] = {"queries": queries, "seconds": seconds, "robust_accuracy": failed / len(examples)}
    union = union_of_attacks(alone)
    entry = cascade_history(cascade.describe(), joined.records, joined.by_member)
    assert union is not None
    robust = {record.idx for record in joined.records if record.status == "failed"}
    by_union = set.intersection(*({one.idx for one in found if one.status == "failed"} for found in alone.values()))
    totals = {key: sum(cost[key] for cost in costs.values()) for key in ("queries", "seconds")}
    result = {
        "model": "bert_tiny", "data": "sst2", "threads": torch.get_num_threads(), "load": os.getloadavg()[0],
        "cascade": entry, "alone": costs, "same_outcomes": robust == by_union, "union": union.robust_accuracy,
        "ratio": {key: totals[key] / entry[key] for key in totals},
    }  # fmt: skip
    write_result("cascade", result, "cascade", "alone", "same_outcomes", "ratio")


if __name__ == "__main__":
    main()
