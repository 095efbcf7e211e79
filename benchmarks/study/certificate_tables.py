"""Tables of certified accuracy next to accuracy under attack, from `experiments/certify_*.json`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.paired import read, runs_of
from benchmarks.study.stored import EXPERIMENTS
from hf_robust.reports import markdown_table, percent
from hf_robust.reports.cells import accuracy_interval, attack_interval
from hf_robust.runs import Run, load_run

TITLES = {"certify_sst2_bert_tiny": "BERT-tiny on SST-2"}
ATTACK, NOTHING = "synonym", "–"
CERTIFIED = ("smoothed_accuracy", "certified_accuracy", "abstained")
HEADER = [
    "method", "table", "attacked", "accuracy of the attacked, %", f"under {ATTACK}, %", "vote, %", "certified, %",
    "abstained, %", "median radius, words", "seeds",
]  # fmt: skip


def compact(results: Path, files: Path = EXPERIMENTS) -> str:
    """A table for each experiment with finished runs, after a sentence on its setting."""
    parts = []
    for path in sorted(files.glob("certify_*.json")):
        runs = {name: [load_run(run) for run in runs_of(results / path.stem, name)] for name in read(path)["settings"]}
        rows = [row(group) for group in runs.values() if group]
        if rows:
            first = next(group[0] for group in runs.values() if group)
            parts += [f"{TITLES[path.stem]}: {setting(first)}", markdown_table(HEADER, rows).strip()]
    return "\n\n".join(parts) + "\n" if parts else "Nothing was run yet.\n"


def setting(run: Run) -> str:
    """Sentence on training rows, certified rows and attack."""
    certified, attacked = run.published["certified"], run.published["attacks"][ATTACK]
    return (
        f"{run.data['train_samples']:,} training rows; {certified['num_examples']:,.0f} test rows certified by "
        f"{certified['votes']:,.0f} votes at alpha {certified['alpha']:g}, {attacked['num_examples']:,.0f} handed to "
        f"the attack ({attacked['num_attacked']:,.0f} attacked in the first run). "
        "Brackets: 95 % Wilson intervals of one run; ±: sample standard deviation over seeds."
    )


def row(runs: Sequence[Run]) -> list[str]:
    """The row of one method over its seeds."""
    card = runs[0].card
    lexicon = card["certify"]["lexicon"]
    votes = (card.get("vote") or {}).get("votes")
    radius = [run.published["certified"]["radius"] for run in runs if number(run, "radius") is not None]
    return [
        runs[0].method,
        f"{Path(str(lexicon['source'])).name.split('.')[0].replace('_', ' ')}, {lexicon['size']:,} words",
        f"vote of {votes}" if votes else "plain network",
        rate([float(run.published["accuracy"]) for run in runs], accuracy_interval(runs[0])),
        over([run.published["attacks"][ATTACK] for run in runs], "robust_accuracy"),
        *(over([run.published["certified"] for run in runs], key) for key in CERTIFIED),
        f"{statistics.mean(radius):.1f}" if radius else NOTHING,
        str(len(runs)),
    ]


def number(run: Run, key: str) -> float | None:
    """A finite number of a certificate; None if it is missing."""
    value = run.published["certified"].get(key)
    return None if value is None or not math.isfinite(value) else float(value)


def over(results: Sequence[dict[str, Any]], key: str) -> str:
    """A rate over several runs."""
    return rate([float(result[key]) for result in results], attack_interval(results[0], key))


def rate(values: Sequence[float], interval: tuple[float, float] | None) -> str:
    """Rate of one run with its interval if known; mean and spread of several runs."""
    if len(values) == 1:
        return percent(values[0], interval)
    return f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values):.1f}"
