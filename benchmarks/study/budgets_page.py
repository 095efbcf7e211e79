"""The page "Balanced training at small budgets": settings of BAT that keep accuracy and lower antonym ASR in few
steps.

    NLTK_DATA=DIR python -m benchmarks.study.run benchmarks/experiments/budgets_*.json --data DIR [--jobs 2]

runs what is missing; the page shows the runs that exist. A setting is *kept* if the whole interval of its accuracy
minus that of ``normal`` is above -2 points and that of its antonym ASR is below 0; *not* if one of the two lies wholly
on the other side; otherwise *open*; *void* if one of its runs is near chance.
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

from benchmarks.study.experiment import Comparison, TextExperiment, compare, compare_asr
from benchmarks.study.paired import ACCURACY, FAILS, HOLDS, accuracy_of, outcomes, runs_of, verdict
from benchmarks.study.stored import EXPERIMENTS
from hf_robust.metrics.paired import rates
from hf_robust.reports import markdown_table, percent

HEADING = "Balanced training at small budgets"
TITLES = {"budgets_snli_bert_tiny": "BERT-tiny on SNLI", "budgets_snli_minilm": "MiniLM on SNLI"}
LOST = 2.0
"""Points of clean accuracy that a setting may lose."""
KEPT, NOT_KEPT, OPEN, VOID = "kept", "not", "open", "void: near chance"
NOTHING = "–"
HEADER = [
    "steps", "weight", "warm-up", "antonym views", "seeds", "accuracy", "minus normal", "antonym ASR", "minus normal",
    "synonym ASR", "minus normal", "verdict",
]  # fmt: skip


def budget_experiments(results: Path) -> list[TextExperiment]:
    """The experiments of the page."""
    return [TextExperiment(EXPERIMENTS / f"{name}.json", results / name) for name in TITLES]


def steps_of(experiment: TextExperiment, name: str) -> int:
    """Optimizer steps of a setting."""
    arguments = {**experiment.spec["args"], **experiment.spec["settings"][name]}
    batches = math.ceil(arguments["max_train_samples"] / arguments["per_device_train_batch_size"])
    return int(batches * arguments["num_train_epochs"])


def baseline_of(experiment: TextExperiment, name: str) -> str:
    """The setting of ``normal`` with the same budget as another setting."""
    return f"{steps_of(experiment, name)}-normal"


def verdict_of(experiment: TextExperiment, name: str) -> str:
    """Whether a setting keeps accuracy and lowers antonym ASR, compared with ``normal`` at the same budget."""
    normal = baseline_of(experiment, name)
    accuracy, antonym = compare(experiment, normal, name, ACCURACY), compare_asr(experiment, normal, name, "antonym")
    if accuracy is None or antonym is None:
        return NOTHING
    if experiment.near_chance(normal):
        return VOID
    accurate, lowered = verdict(accuracy.difference, above=-LOST), verdict(antonym.difference, below=0.0)
    if accurate == FAILS:  # also near chance: lost accuracy is lost
        return NOT_KEPT
    if experiment.near_chance(name):
        return VOID
    return NOT_KEPT if lowered == FAILS else KEPT if accurate == lowered == HOLDS else OPEN


def row(experiment: TextExperiment, name: str) -> list[str]:
    """The row of one setting."""
    setting: dict[str, Any] = experiment.spec["settings"][name]
    normal = baseline_of(experiment, name)
    runs = runs_of(experiment.folder, name)
    plain = setting["robust_method"] == "normal"
    chosen = [NOTHING] * 3 if plain else [
        f"{setting['bat_lambda']:g}", f"{setting['contrastive_warmup']:g}", setting["antonym_views"]
    ]  # fmt: skip
    cells = [f"{steps_of(experiment, name):,}", *(["normal", *chosen[1:]] if plain else chosen), str(len(runs))]
    cells += [percent(statistics.mean(map(accuracy_of, runs)))]
    cells += [NOTHING if plain else difference_cell(compare(experiment, normal, name, ACCURACY))]
    for attack in ("antonym", "synonym"):
        cells.append(percent(float(rates(outcomes(experiment.folder, name, attack)).mean())))
        cells.append(NOTHING if plain else difference_cell(compare_asr(experiment, normal, name, attack)))
    return [*cells, NOTHING if plain else verdict_of(experiment, name)]


def difference_cell(comparison: Comparison | None) -> str:
    """A difference with its interval, as a table cell."""
    if comparison is None:
        return NOTHING
    points = comparison.difference
    return f"{points.value:+.1f} [{points.low:.1f}, {points.high:.1f}]"


def summary(experiment: TextExperiment) -> str:
    """Sentences on how many runs exist and which settings are kept at each budget."""
    settings, seeds = experiment.spec["settings"], experiment.spec["seeds"]
    finished = sum(len(runs_of(experiment.folder, name)) for name in settings)
    sentences = [f"{finished} of {len(settings) * len(seeds)} runs exist."]
    for steps in dict.fromkeys(steps_of(experiment, name) for name in settings):
        tried = [
            name for name in experiment.methods if steps_of(experiment, name) == steps and name != f"{steps}-normal"
        ]
        names_kept = [name.partition("-")[2] for name in tried if verdict_of(experiment, name) == KEPT]
        if tried:
            sentences.append(
                f"At {steps:,} steps {len(names_kept)} of {len(tried)} settings tried are kept: {listed(names_kept)}."
            )
        else:
            sentences.append(f"Nothing was run at {steps:,} steps.")
    return " ".join(sentences)


def listed(settings: list[str]) -> str:
    """Names in one line; "none" if there are none."""
    return ", ".join(settings) or "none"


def page(results: Path) -> str:
    """The whole page."""
    parts = [
        f"# {HEADING}",
        "`python -m benchmarks.study.run benchmarks/experiments/budgets_*.json --data DIR` runs it.",
        "`bat_triplet` is compared with `normal` at the same number of steps, in batches of 32. A setting is *kept* "
        f"if it loses less than {LOST:g} points of clean accuracy and lowers the antonym attack's success rate, both "
        "with the whole 95 % interval; *not* if one of the two lies wholly on the other side; otherwise *open*; "
        "*void* if a model is near chance. Differences are in points, those of accuracy with the normal interval of "
        "paired answers, those of success rates with the paired bootstrap over examples. Intervals are over "
        "examples alone: with one seed the spread between seeds is unknown.",
    ]
    for experiment in budget_experiments(results):
        parts += [f"## {TITLES[experiment.name]}", summary(experiment)]
        if experiment.methods:
            parts.append(markdown_table(HEADER, [row(experiment, name) for name in experiment.methods]).strip())
    return "\n\n".join(parts) + "\n"
