"""Experiments with their finished runs, and comparisons between two of their settings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study.measures import ATTACK, INTERPRETATION, PAIRS, TRANSITION
from benchmarks.study.paired import (
    ACCURACY,
    accuracy_contrast,
    accuracy_of,
    accuracy_variance,
    asr_difference,
    attack_variance,
    between,
    eval_samples,
    read,
    robust_difference,
    runs_of,
    shared_runs,
)
from benchmarks.study.paper_runs import spec_of
from benchmarks.study.power import Variance, linear_parts, variance_of
from benchmarks.study.stored import EXPERIMENTS, RESULTS
from hf_robust.metrics import Difference, paired_difference, wilson_interval
from hf_robust.metrics.guessing import least_accuracy
from hf_robust.metrics.paired import POINTS, rates
from hf_robust.reports import load_evaluated
from hf_robust.runs import STATUSES_FILE, Run

TITLES = {
    "text_sst2_bert_tiny": "BERT-tiny on SST-2",
    "text_trec_bert_tiny": "BERT-tiny on TREC",
    "text_sst2_minilm": "MiniLM on SST-2",
    "text_sst2_lstm": "LSTM on SST-2",
    "text_sst2_cnn": "CNN on SST-2",
    "text_agnews_bert_tiny": "BERT-tiny on AG News",
    "text_snli_bert_tiny": "BERT-tiny on SNLI",
    "text_sst2_bert_taichi": "BERT-tiny on SST-2, TaiChi's Table 5",
    "text_trec_bert_taichi": "BERT-tiny on TREC, TaiChi's Table 5",
    "text_agnews_bert_taichi": "BERT-tiny on AG News, TaiChi's Table 5",
    "text_sst2_bert_labels": "BERT-tiny on SST-2, TaiChi's Table 4",
    "text_sst2_bert_parts": "BERT-tiny on SST-2, TaiChi's Table 7 and Figure 5",
    "text_sst2_lstm_flat": "LSTM on SST-2, FLAT's Table 3",
    "text_sst2_cnn_flat": "CNN on SST-2, FLAT's Table 3",
    "text_sst2_bert_flat": "BERT-tiny on SST-2, FLAT's Table 3",
    "text_trec_lstm_flat": "LSTM on TREC, FLAT's Table 3",
    "text_trec_cnn_flat": "CNN on TREC, FLAT's Table 3",
    "text_trec_bert_flat": "BERT-tiny on TREC, FLAT's Table 3",
    "text_snli_electra_gradmask": "BERT-tiny on SNLI, GradMask's Section 5",
}
ORDER = ("deepwordbug", "pwws", ATTACK, "textbugger", "synonym", "antonym", "gradient_mask")
"""Order of attacks: columns of TaiChi's Table 5, then the others."""
OWN, FIXED = "own", "fixed"
TAU, TOP5 = "tau_by_pair", "top5_by_pair"


RECIPES = ("textfooler", "textbugger", "synonym")


@dataclass(frozen=True)
class Experiment:
    """An experiment file and the folder of its runs."""

    file: Path
    folder: Path

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Content of the experiment file."""
        return spec_of(self.file)

    @property
    def name(self) -> str:
        """Name of the experiment file."""
        return self.file.stem

    @property
    def methods(self) -> list[str]:
        """Methods with at least one finished run, in the file's order."""
        return [name for name in self.spec.get("methods", ()) if runs_of(self.folder, name)]

    @property
    def attacks(self) -> list[str]:
        """Attacks that every finished run has; files of adversarial texts come last."""
        attacks_of_runs = [
            set(read(run / "statuses.json")) for name in self.methods for run in runs_of(self.folder, name)
        ]
        shared = set.intersection(*attacks_of_runs) if attacks_of_runs else set()
        return [*(name for name in RECIPES if name in shared), *sorted(shared - set(RECIPES))]

    @property
    def least_accuracy(self) -> float:
        """Accuracy below which a model counts as near chance."""
        return least_accuracy(float(self.spec["larger_class"]))

    def loaded(self, method: str) -> list[Run]:
        """The finished runs of a method, in the order of seeds."""
        return [load_evaluated(path) for path in runs_of(self.folder, method)]

    def near_chance(self, method: str) -> bool:
        """Whether a run of the method is near chance."""
        return min(map(accuracy_of, runs_of(self.folder, method))) < self.least_accuracy

    def guesses(self, method: str) -> bool:
        """Whether a run of the method is near chance, and not so far below it that it has learnt wrong labels."""
        return any(
            accuracy_of(run) < self.least_accuracy and not learnt_wrong(run) for run in runs_of(self.folder, method)
        )


class TextExperiment(Experiment):
    """An experiment whose runs are named after its settings."""

    @property
    def methods(self) -> list[str]:
        """Settings with at least one finished run, in the file's order."""
        names = self.spec.get("settings") or self.spec.get("methods", ())
        return [name for name in names if runs_of(self.folder, name)]

    @property
    def attacks(self) -> list[str]:
        """Attacks that any finished run has, in the order of the tables."""
        attacks = {
            name
            for method in self.methods
            for run in runs_of(self.folder, method)
            for name in read(run / STATUSES_FILE)
        }
        return [*(name for name in ORDER if name in attacks), *sorted(attacks - set(ORDER))]

    @property
    def data(self) -> str:
        """Short name of the data set."""
        return self.name.split("_")[1]

    @property
    def model(self) -> str:
        """Name of the paper's corresponding model, which is larger."""
        model = self.name.split("_")[2]
        return model if model in ("lstm", "cnn") else "bert"

    def share_seed(self, *methods: str) -> bool:
        """Whether all settings have a finished run with a common seed."""
        seeds = [{path.name.rpartition("-seed")[2] for path in runs_of(self.folder, name)} for name in methods]
        return bool(set.intersection(*seeds))

    def share_attack(self, attack: str, first: str, second: str) -> bool:
        """Whether both settings share a seed and all their shared runs have the attack."""
        shared = shared_runs(self.folder, first, second)
        return bool(shared) and all(attack in read(run / STATUSES_FILE) for pair in shared for run in pair)


def learnt_wrong(run: Path) -> bool:
    """Whether a run's accuracy is below the smallest class's share, with its whole interval: no guess is so low."""
    shares = read(run / "run_card.json")["data"].get("class_shares")
    samples = eval_samples(run)
    return bool(shares) and wilson_interval(round(accuracy_of(run) * samples), samples)[1] < min(shares.values())


def text_experiments(results: Path = RESULTS, files: Path = EXPERIMENTS) -> list[TextExperiment]:
    """All experiments on text views, in the order of the tables."""
    by_name = {path.stem: TextExperiment(path, results / path.stem) for path in sorted(files.glob("text_*.json"))}
    return [by_name[name] for name in dict.fromkeys([*TITLES, *by_name]) if name in by_name]


# ---- measures beside the attacks ----


def measure_of(run: Path, kind: str) -> dict[str, Any]:
    """A result of `benchmarks.study.measures`; empty if it was not measured."""
    path = run / f"{kind}.json"
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return values


def consistency_of(run: Path, where: str) -> dict[str, Any]:
    """Agreement of attributions of a run on own or fixed pairs; empty if it was not measured."""
    values: dict[str, Any] = measure_of(run, INTERPRETATION).get(where, {})
    return values


@dataclass(frozen=True)
class Comparison:
    """A difference, the number of its examples, its seeds, and its variances if outcomes of examples have them."""

    difference: Difference
    examples: int
    seeds: tuple[int, ...]
    unit: str = "points"
    variance: Variance | None = None

    @cached_property
    def width(self) -> float:
        """Half of the width of the interval."""
        return (self.difference.high - self.difference.low) / 2


Values = Callable[[Path], dict[str, float]]


def pair_values(where: str, key: str) -> Values:
    """Run -> Kendall's tau or top-5 intersection of each of its pairs."""
    return lambda run: consistency_of(run, where).get(key, {})


def kl_of_pairs(run: Path) -> dict[str, float]:
    """KL(p(x) || p(x')) of each pair of a run."""
    values: dict[str, float] = measure_of(run, PAIRS).get("kl_pos_by_pair", {})
    return values


def compare_values(
    experiment: TextExperiment, first: str, second: str, values: Values, scale: float
) -> Comparison | None:
    """Second minus first mean of values by example, over the seeds for which both have values; None if there are none.

    The bootstrap draws an example together with both methods' values under every seed. A model's own pairs are of
    different examples for each method; the interval then treats them as independent.
    """
    found = {pair[0]: tuple(map(values, pair)) for pair in shared_runs(experiment.folder, first, second)}
    known = {run: both for run, both in found.items() if all(both)}
    if not known:
        return None
    columns = sorted({idx for both in known.values() for side in both for idx in side}, key=int)
    sides = [np.array([[both[at].get(idx, np.nan) for idx in columns] for both in known.values()]) for at in (0, 1)]
    parts = (linear_parts(sides[1]) - linear_parts(sides[0])) * (scale / POINTS)
    counts = [len(side) for both in known.values() for side in both]
    seeds = tuple(map(seed_of, known))
    unit = "points" if scale == POINTS else "nats"
    variance = variance_of(parts).per(min(counts) / len(columns))
    # A mean is linear, so its interval is scaled with the values.
    difference = paired_difference(*(side * (scale / POINTS) for side in sides), rates)
    return Comparison(difference, min(counts), seeds, unit, variance)


def compare(experiment: TextExperiment, first: str, second: str, quantity: str) -> Comparison | None:
    """Second minus first in clean accuracy, or in robust accuracy under an attack; None if runs lack it."""
    if not experiment.share_seed(first, second) or (
        quantity != ACCURACY and not experiment.share_attack(quantity, first, second)
    ):
        return None
    if quantity == ACCURACY:
        return contrast_accuracies(experiment, between(first, second))
    shared = [pair[0] for pair in shared_runs(experiment.folder, first, second)]
    seeds = tuple(map(seed_of, shared))
    difference = robust_difference(experiment.folder, first, second, quantity)
    variance = attack_variance(experiment.folder, first, second, quantity)
    return Comparison(difference, len(read(shared[0] / STATUSES_FILE)[quantity]), seeds, variance=variance)


def compare_asr(experiment: TextExperiment, first: str, second: str, attack: str) -> Comparison | None:
    """Second minus first in attack success rate; None if runs lack it."""
    comparison = compare(experiment, first, second, attack)
    if comparison is None:
        return None
    difference = asr_difference(experiment.folder, first, second, attack)
    variance = attack_variance(experiment.folder, first, second, attack, linear_parts)
    return dataclasses.replace(comparison, difference=difference, variance=variance)


def contrast_accuracies(experiment: TextExperiment, weights: dict[str, float]) -> Comparison | None:
    """A weighted sum of clean accuracies; None if runs are missing."""
    if not experiment.share_seed(*weights):
        return None
    runs = [of_seed[0] for of_seed in shared_runs(experiment.folder, *weights)]
    difference, variance = accuracy_contrast(experiment.folder, weights), accuracy_variance(experiment.folder, weights)
    return Comparison(difference, eval_samples(runs[0]), tuple(map(seed_of, runs)), variance=variance)


def mcnemar_difference(runs: list[Path], name: str, times: float = 1.0) -> Comparison | None:
    r"""Errors fixed minus ``times`` those introduced on a slice, in points of its texts.

    With shares f and g of n texts, :math:`f - t g \pm 1.96 \sqrt{(f + t^2 g - (f - t g)^2) / n}`, McNemar's interval
    for t = 1. All seeds have the same texts, so their counts are averaged and do not narrow the interval.
    """
    reports = [(seed_of(run), measure_of(run, TRANSITION)[name]) for run in runs if measure_of(run, TRANSITION)]
    reports = [(seed, report) for seed, report in reports if report["num_examples"]]
    if not reports:
        return None
    texts = reports[0][1]["num_examples"]
    fixed, introduced = (float(np.mean([report[key] for _, report in reports])) for key in ("fixed", "introduced"))
    gain = (fixed - times * introduced) / texts
    spread = POINTS * 1.96 * max((fixed + times**2 * introduced) / texts - gain**2, 0.0) ** 0.5 / texts**0.5
    by_seed = [POINTS * (report["fixed"] - times * report["introduced"]) / texts for _, report in reports]
    centre = POINTS * gain
    difference = Difference(centre, centre - spread, centre + spread, by_seed)
    return Comparison(difference, texts, tuple(seed for seed, _ in reports))


def seed_of(run: Path) -> int:
    """Seed of a run, from the name of its folder."""
    return int(run.name.rpartition("-seed")[2])
