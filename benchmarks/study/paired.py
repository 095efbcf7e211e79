"""Differences between methods that were attacked on the same examples, with 95 % intervals and verdicts.

A difference of two attack rates has a 95 % bootstrap interval over examples: an example is drawn together with its
outcomes under every seed of both methods. A difference of clean accuracies has the normal interval of paired outcomes.
Seeds are averaged, and their single values are kept. Only seeds that both methods have count.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study.power import Variance, Z, robust_parts, variance_of
from benchmarks.study.stored import EXPERIMENTS
from hf_robust.metrics import Difference, paired_difference
from hf_robust.metrics.paired import OUTCOMES, POINTS, Outcomes, rates, robust
from hf_robust.runs import HISTORY_FILE, METRICS_FILE, RUN_CARD_FILE, STATUSES_FILE, Run, load_run, read_statuses

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


def shared_runs(experiment: Path, *methods: str) -> list[tuple[Path, ...]]:
    """Runs of all methods for each seed that all have."""
    runs = [runs_by_seed(experiment, name) for name in methods]
    return [tuple(of_method[seed] for of_method in runs) for seed in runs[0] if all(seed in one for one in runs)]


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
    """Clean accuracy of the kept weights on the whole evaluation set; a run without attacks has no history."""
    if (run / HISTORY_FILE).is_file():
        return float(load_run(run).published["accuracy"])
    return float(read(run / METRICS_FILE)["eval_accuracy"])


def right(run: Path) -> dict[int, float]:
    """Index -> 1 if the model had a row right, else 0, for the rows that an attack read; empty if no attack tells.

    An attack leaves out the rows that the model has wrong; run cards that do not say so are of a time when all did. Of
    one that leaves out labels too nothing can be said.
    """
    for attack, settings in read(run / RUN_CARD_FILE).get("attacks", {}).items():
        if settings.get("skip_misclassified", True) and not settings.get("skip_labels"):
            return {index: float(not np.isnan(outcome)) for index, outcome in statuses_of(run, attack).items()}
    return {}


def accuracy_contrast(experiment: Path, weights: Mapping[str, float]) -> Difference:
    r"""A weighted sum of the clean accuracies of settings, over the seeds that all of them have.

    All models answer the same rows, so the interval is that of paired differences (`accuracy_variance`), for the whole
    evaluation set. Without such rows the rates count as independent,
    :math:`\sum_i w_i^2 p_i (1 - p_i) / n`, which is too wide for models that agree.
    """
    runs = shared_runs(experiment, *weights)
    by_seed, samples = accuracies_by_seed(experiment, weights), eval_samples(runs[0][0])
    centre, variance = statistics.mean(by_seed), accuracy_variance(experiment, weights)
    if variance is not None:
        variance = variance.for_effect(centre)
    else:
        rates = [statistics.mean(map(accuracy_of, of_setting)) for of_setting in zip(*runs, strict=True)]
        apart = sum(w**2 * rate * (1 - rate) for w, rate in zip(weights.values(), rates, strict=True))
        variance = Variance(None, POINTS**2 * apart, None)
    half = Z * (variance.rows / samples + (variance.both or 0.0) / (samples * len(runs))) ** 0.5
    return Difference(centre, centre - half, centre + half, by_seed)


def accuracies_by_seed(experiment: Path, weights: Mapping[str, float]) -> list[float]:
    """The weighted sum of each seed, in points."""
    runs = shared_runs(experiment, *weights)
    return [POINTS * float(np.dot(list(weights.values()), list(map(accuracy_of, of_seed)))) for of_seed in runs]


def accuracy_variance(experiment: Path, weights: Mapping[str, float]) -> Variance | None:
    """Variances of a weighted sum of clean accuracies over the rows that all runs were asked; None if there are none.

    These are the attacked rows, a random part of the evaluation set: of these alone the results say which ones each
    model had right. Half a row is added for each pair of answers (Agresti and Min 2005, "Simple improved confidence
    intervals for comparing matched proportions"), so that models that agree on these few rows do not count as equal.
    The variance between seeds is that of the whole set.
    """
    runs = shared_runs(experiment, *weights)
    answers = [[right(run) for run in of_seed] for of_seed in runs]
    shared = sorted(set.intersection(*(set(of_run) for of_seed in answers for of_run in of_seed)))
    if not shared:
        return None
    values = np.array([[[of_run[row] for row in shared] for of_run in of_seed] for of_seed in answers])
    variance = variance_of(POINTS * np.einsum("w,swr->sr", list(weights.values()), values))
    spread = variance.seeds
    if spread is not None:
        left = (variance.both or 0.0) / eval_samples(runs[0][0])
        spread = statistics.variance(accuracies_by_seed(experiment, weights)) - left
    return Variance(spread, variance.rows + POINTS**2 / (len(shared) + 2), variance.both)


def eval_samples(run: Path) -> int:
    """Number of rows of clean accuracy."""
    return int(read(run / RUN_CARD_FILE)["data"]["eval_samples"])


def accuracy_difference(experiment: Path, first: str, second: str) -> Difference:
    """Difference in clean accuracy."""
    return accuracy_contrast(experiment, between(first, second))


def between(first: str, second: str) -> dict[str, float]:
    """Weights of a difference, second minus first."""
    return {second: 1.0, first: -1.0}


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
