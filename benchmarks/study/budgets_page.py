"""BAT where there are few steps: which weight, warm-up and views keep clean accuracy and still lower antonym ASR.

    NLTK_DATA=DIR python benchmarks/run.py benchmarks/experiments/budgets_*.json --data DIR [--jobs 2]

This runs what is not there yet; the docs show what there is. A setting is *kept* where the whole interval of its
accuracy minus that of ``normal`` is above -2 points and that of its antonym ASR below 0, *not* where either is wholly
on the other side, else *open*; *void* where a run of it is hardly better than chance.
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

from benchmarks.study.embedding_claims import ACCURACY
from benchmarks.study.experiment import Compared, TextExperiment, compared, compared_asr
from benchmarks.study.paired import accuracy_of, outcomes, runs_of, verdict
from benchmarks.study.stored import EXPERIMENTS
from hf_robust.metrics.paired import rates
from hf_robust.reports import markdown_table, percent

HEADING = "Balanced training at small budgets"
TITLES = {"budgets_snli_bert_tiny": "BERT-tiny on SNLI", "budgets_snli_minilm": "MiniLM on SNLI"}
LOST = 2.0
"""Points of clean accuracy that a setting may lose."""
KEPT, NOT, OPEN, VOID = "kept", "not", "open", "void: near chance"
NOTHING = "–"
HEADER = [
    "steps", "weight", "warm-up", "antonym views", "seeds", "accuracy", "minus normal", "antonym ASR", "minus normal",
    "synonym ASR", "minus normal", "verdict",
]  # fmt: skip


def experiments(results: Path) -> list[TextExperiment]:
    return [TextExperiment(EXPERIMENTS / f"{name}.json", results / name) for name in TITLES]


def steps_of(one: TextExperiment, name: str) -> int:
    """Optimizer steps of a setting."""
    arguments = {**one.settings["args"], **one.settings["settings"][name]}
    batches = math.ceil(arguments["max_train_samples"] / arguments["per_device_train_batch_size"])
    return int(batches * arguments["num_train_epochs"])


def normal_at(one: TextExperiment, name: str) -> str:
    """The setting of ``normal`` with the budget of another."""
    return f"{steps_of(one, name)}-normal"


def decided(one: TextExperiment, name: str) -> str:
    """Whether a setting keeps accuracy and lowers antonym ASR, beside ``normal`` at its budget."""
    normal = normal_at(one, name)
    accuracy, antonym = compared(one, normal, name, ACCURACY), compared_asr(one, normal, name, "antonym")
    if accuracy is None or antonym is None:
        return NOTHING
    if one.near_guessing(normal):
        return VOID
    accurate, lowered = verdict(accuracy.found, above=-LOST), verdict(antonym.found, below=0.0)
    if accurate == "does not hold":  # near chance too: accuracy that is lost is lost
        return NOT
    if one.near_guessing(name):
        return VOID
    return NOT if lowered == "does not hold" else KEPT if accurate == lowered == "holds" else OPEN


def row(one: TextExperiment, name: str) -> list[str]:
    setting: dict[str, Any] = one.settings["settings"][name]
    normal = normal_at(one, name)
    runs = runs_of(one.folder, name)
    plain = setting["robust_method"] == "normal"
    chosen = [NOTHING] * 3 if plain else [
        f"{setting['bat_lambda']:g}", f"{setting['contrastive_warmup']:g}", setting["antonym_views"]
    ]  # fmt: skip
    cells = [f"{steps_of(one, name):,}", *(["normal", *chosen[1:]] if plain else chosen), str(len(runs))]
    cells += [percent(statistics.mean(map(accuracy_of, runs)))]
    cells += [NOTHING if plain else difference(compared(one, normal, name, ACCURACY))]
    for attack in ("antonym", "synonym"):
        cells.append(percent(float(rates(outcomes(one.folder, name, attack)).mean())))
        cells.append(NOTHING if plain else difference(compared_asr(one, normal, name, attack)))
    return [*cells, NOTHING if plain else decided(one, name)]


def difference(found: Compared | None) -> str:
    return NOTHING if found is None else f"{found.found.value:+.1f} [{found.found.low:.1f}, {found.found.high:.1f}]"


def summary(one: TextExperiment) -> str:
    """How much of the experiment was run, and what at each budget is kept."""
    settings, seeds = one.settings["settings"], one.settings["seeds"]
    there = sum(len(runs_of(one.folder, name)) for name in settings)
    said = [f"{there} of {len(settings) * len(seeds)} runs are there."]
    for steps in dict.fromkeys(steps_of(one, name) for name in settings):
        tried = [name for name in one.methods if steps_of(one, name) == steps and name != f"{steps}-normal"]
        kept = [name.partition("-")[2] for name in tried if decided(one, name) == KEPT]
        if tried:
            said.append(f"At {steps:,} steps {len(kept)} of {len(tried)} settings tried are kept: {named(kept)}.")
        else:
            said.append(f"Nothing was run at {steps:,} steps.")
    return " ".join(said)


def named(settings: list[str]) -> str:
    return ", ".join(settings) or "none"


def page(results: Path) -> str:
    parts = [
        f"# {HEADING}",
        "`benchmarks/budgets.py` says how to run it.",
        f"`bat_triplet` beside `normal` at the same number of steps, in batches of 32. A setting is *kept* where it "
        f"loses less than {LOST:g} points of clean accuracy and lowers the antonym attack's success rate, both by the "
        "whole 95 % interval; *not* where one of the two is wholly on the other side; *open* between; *void* where a "
        "model is hardly better than chance. Differences are in points: of accuracy with the normal interval of "
        "independent rates, of success rates with the paired bootstrap over examples. Intervals are of the examples "
        "alone: with one seed nothing is known of the spread between seeds.",
    ]
    for one in experiments(results):
        parts += [f"## {TITLES[one.name]}", summary(one)]
        if one.methods:
            parts.append(markdown_table(HEADER, [row(one, name) for name in one.methods]).strip())
    return "\n\n".join(parts) + "\n"
