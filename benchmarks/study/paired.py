"""Differences between methods that were attacked on the same examples, with 95 % intervals and verdicts.

A difference of two attack rates has a 95 % bootstrap interval over examples: an example is drawn together with its
outcomes under every seed of both methods. Seeds are averaged, and their single values are kept. Only seeds that both
methods have count.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study.power import Variance, robust_parts, variance_of
from benchmarks.study.stored import EXPERIMENTS
from hf_robust.metrics import Difference, paired_difference
from hf_robust.metrics.paired import OUTCOMES, POINTS, Outcomes, rates, robust
from hf_robust.runs import HISTORY_FILE, METRICS_FILE, STATUSES_FILE, Run, read_history, read_statuses

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decidable here"
VOID = "void: near chance"
ACCURACY, COLLAPSE = "accuracy", "collapse"


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def with_classes(run: Run, experiment: str) -> Run:
    """The run with class shares, which older run cards lack, from ``larger_class`` of the experiment's file.

    The other classes get equal shares of the rest; there are as few as possible that are not larger.
    """
    larger = float(read(EXPERIMENTS / f"{experiment}.json")["larger_class"])
    others = max(1, round(1 / larger) - 1)
    shares = {"largest": larger, **{f"other {index}": (1 - larger) / others for index in range(1, others + 1)}}
    data = {"class_shares": shares, **run.data}
    return dataclasses.replace(run, card={**run.card, "data": data})


def runs_by_seed(experiment: Path, method: str) -> dict[int, Path]:
    """Seed -> finished run of a method (or of a sweep's setting), in the order of seeds."""
    by_seed = {int(path.name.rpartition("-seed")[2]): path for path in experiment.glob(f"{method}-seed*")}
    return {seed: by_seed[seed] for seed in sorted(by_seed) if (by_seed[seed] / STATUSES_FILE).exists()}


def runs_of(experiment: Path, method: str) -> list[Path]:
    """Finished runs of a method, in the order of seeds."""
    return list(runs_by_seed(experiment, method).values())


def shared_runs(experiment: Path, first: str, second: str) -> list[tuple[Path, Path]]:
    """Runs of both methods for each seed that both have."""
    base, other = runs_by_seed(experiment, first), runs_by_seed(experiment, second)
    return [(base[seed], other[seed]) for seed in base if seed in other]


def statuses_of(run: Path, attack: str) -> dict[int, float]:
    """Index -> outcome of each example, in order of indices; empty if the attack was not run."""
    return {index: OUTCOMES[status] for index, status in read_statuses(run).get(attack, {}).items()}


def outcomes(experiment: Path, method: str, attack: str) -> Outcomes:
    """(seeds, examples) outcomes of one method."""
    return np.array([list(statuses_of(run, attack).values()) for run in runs_of(experiment, method)])


def paired_outcomes(experiment: Path, first: str, second: str, attack: str) -> tuple[Outcomes, Outcomes]:
    """(seeds, examples) outcomes of two methods on the same seeds and examples.

    Raises:
        ValueError: the runs did not attack the same examples.
    """
    rows = [[statuses_of(run, attack) for run in pair] for pair in shared_runs(experiment, first, second)]
    if len({tuple(row) for pair in rows for row in pair}) > 1:
        raise ValueError(
            f"{experiment.name}: runs of {first} and {second} were attacked by {attack} on different examples and "
            "cannot be paired; run them again with one --attack_num_examples and --attack_seed."
        )
    base, other = (np.array([list(pair[side].values()) for pair in rows]) for side in (0, 1))
    return base, other


def asr_difference(experiment: Path, first: str, second: str, attack: str) -> Difference:
    """Difference in attack success rate."""
    return paired_difference(*paired_outcomes(experiment, first, second, attack), rates)


def robust_difference(experiment: Path, first: str, second: str, attack: str) -> Difference:
    """Difference in robust accuracy."""
    return paired_difference(*paired_outcomes(experiment, first, second, attack), robust)


def attack_variance(
    experiment: Path, first: str, second: str, attack: str, parts: Callable[[Outcomes], Outcomes] = robust_parts
) -> Variance:
    """Variances of the paired difference in robust accuracy, or in the rate that ``parts`` splits, in points."""
    base, other = paired_outcomes(experiment, first, second, attack)
    return variance_of(parts(other) - parts(base))


def accuracy_of(run: Path) -> float:
    """Clean accuracy on the whole evaluation set after the last epoch; runs without attacks have no history."""
    if (run / HISTORY_FILE).is_file():
        return float(read_history(run)[-1]["accuracy"])
    return float(read(run / METRICS_FILE)["eval_accuracy"])


def accuracy_difference(experiment: Path, first: str, second: str) -> Difference:
    """Difference in clean accuracy, with the normal interval of two independent rates."""
    pairs = shared_runs(experiment, first, second)
    rates = [[accuracy_of(run) for run in runs] for runs in zip(*pairs, strict=True)]
    samples = read(pairs[0][0] / "run_card.json")["data"]["eval_samples"]
    by_seed = [POINTS * (b - a) for a, b in zip(*rates, strict=True)]
    centre = statistics.mean(by_seed)
    spread = POINTS * 1.96 * sum(r * (1 - r) / samples for r in map(statistics.mean, rates)) ** 0.5
    return Difference(centre, centre - spread, centre + spread, by_seed)


def verdict(difference: Difference, above: float = -np.inf, below: float = np.inf) -> str:
    """Whether the whole interval lies in (above, below): holds; outside: does not hold; else not decidable here."""
    if above < difference.low and difference.high < below:
        return HOLDS
    return FAILS if difference.high < above or difference.low > below else OPEN


def check_row(
    claim: str, text: str, difference: Difference, variance: Variance | None = None, **side: float
) -> dict[str, Any]:
    """A check of a claim: the difference with its limits, its verdict, and its variances where outcomes have them."""
    return {
        "claim": claim,
        "text": text,
        **difference._asdict(),
        "above": side.get("above"),
        "below": side.get("below"),
        "verdict": verdict(difference, **side),
        "variance": dataclasses.asdict(variance) if variance else None,
    }
