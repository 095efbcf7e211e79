"""The engine alone: gains of the options beyond identity with TextAttack, and cost by number of examples."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.performance.stopwatch import Row, mean_row, ratio_of_times
from benchmarks.performance.throughput_runs import Case, RecordingVictim, TimedPlans, native
from hf_robust.attacks import Attack, Example, attack_dataset
from hf_robust.attacks.building import with_bug_fixes, with_early_exit, with_ranking
from hf_robust.attacks.engine.requests import Columns
from hf_robust.metrics import AttackRecord
from hf_robust.models.bf16 import bf16_autocast, has_bf16

# ---- options ----

IDENTICAL = "as TextAttack"


BF16 = "--bf16"


@dataclass
class Option:
    """An attack, the texts that it replays first, by ``idx``, and the context in which the victim runs."""

    attack: Attack
    replayed: dict[int, Columns] | None = None
    autocast: Callable[[], AbstractContextManager[Any]] | None = None


def options_of(case: Case, name: str, noise: float) -> dict[str, Option]:
    """Flag -> the recipe with that option; the plain recipe comes first."""
    plain = case.recipe(name)
    options = {
        IDENTICAL: Option(plain),
        "--attack_fixed": Option(with_bug_fixes(plain)),
        "--attack_early_exit": Option(with_early_exit(plain)),
        "--attack_warm_start": Option(plain, successes_before(case, plain, noise)),
    }
    if plain.ranking is not None and case.victim.can_align:
        options["--attack_ranking gradient"] = Option(with_ranking(plain, "gradient"))
    if has_bf16(case.victim.device):
        options[BF16] = Option(plain, autocast=bf16_autocast(case.victim.device))
    return options


def compare_options(case: Case, name: str, rounds: int, noise: float) -> list[Row]:
    """A row for each option, with its plan made beforehand; the options take turns in each round."""
    options = options_of(case, name, noise)
    plans = {label: TimedPlans() for label in options}
    for label, option in options.items():
        for example in case.examples:
            plans[label].get(option.attack, example)
    rows: dict[str, list[Row]] = {label: [] for label in options}
    records: dict[str, list[AttackRecord]] = {}
    for _ in range(rounds):
        for label, option in options.items():
            victim = case.new_victim()
            victim.autocast = option.autocast or victim.autocast
            row, records_of_run = native(
                case, option.attack, victim=victim, plans=plans[label], replayed=option.replayed
            )
            rows[label].append(row)
            records[label] = records_of_run
    means = {label: mean_row(records_of_run) for label, records_of_run in rows.items()}
    plain = means[IDENTICAL]
    return [
        {
            "recipe": name,
            "option": label,
            **row,
            "speed_up": ratio_of_times(plain, row),
            "queries_ratio": row["queries"] / plain["queries"] if plain["queries"] else None,
            "asr_difference": row["asr"] - plain["asr"] if row["attacked"] and plain["attacked"] else None,
            "same_status": _same_status(records[IDENTICAL], records[label]),
            "replayed": len(options[label].replayed or {}),
            "replays_succeeded": sum(record.stop == "warm_start" for record in records[label]),
        }
        for label, row in means.items()
    ]


def successes_before(case: Case, attack: Attack, noise: float) -> dict[int, Columns]:
    """``idx`` -> text that succeeds on a slightly different model, which stands for the previous epoch."""
    victim = case.new_victim()
    other = RecordingVictim(
        shaken(victim.model, noise, case.seed),
        victim.tokenizer,
        max_length=victim.max_length,
        autocast=victim.autocast,
    )
    records = attack_dataset(attack, other, case.examples, seed=case.seed, progress=False)
    return {record.idx: tuple(record.perturbed) for record in records if record.status == "succeeded"}


def shaken(model: Any, noise: float, seed: int) -> Any:
    """Copy of the model with Gaussian noise in each parameter, ``noise`` times its standard deviation."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.is_floating_point() and parameter.numel() > 1:
                drawn = torch.randn(parameter.shape, generator=generator).to(parameter.device, parameter.dtype)
                parameter.add_(drawn * parameter.std() * noise)
    return other


def _same_status(first: list[AttackRecord], second: list[AttackRecord]) -> int:
    return sum(a.status == b.status for a, b in zip(first, second, strict=True))


# ---- growing numbers of examples ----

RECIPE = "synonym"
"""The cheapest recipe: it ranks only words that have a substitute."""
_KEPT = ("seconds", "cpu_seconds", "model_share", "queries", "queries_per_second", "rss_mb_before", "rss_mb_peak")


def grow(case: Case, rows: Sequence[Example], sizes: Sequence[int]) -> list[Row]:
    """Attack as many examples as each size says, smallest first, each time with an empty plan."""
    rows_by_size = []
    for size in sorted(sizes):
        examples = _examples(case, rows, size)
        # Memory left over from the previous size would count for this one.
        gc.collect()
        row, records = native(case, case.recipe(RECIPE), examples=examples)
        rows_by_size.append(
            {
                "recipe": RECIPE,
                "examples": size,
                "distinct_texts": len({example.texts for example in examples}),
                **{name: row[name] for name in _KEPT},
                "seconds_per_example": row["seconds"] / size,
                "cpu_seconds_per_example": row["cpu_seconds"] / size,
                "rss_mb_growth": row["rss_mb_peak"] - row["rss_mb_before"],
                "succeeded": sum(record.status == "succeeded" for record in records),
            }
        )
    return rows_by_size


def _examples(case: Case, rows: Sequence[Example], size: int) -> list[Example]:
    """The first ``size`` rows; repeated rows have their words rotated, so that their scores are not cached.

    The label is the model's prediction, so that every example is attacked.
    """
    texts = [
        tuple(_rotated(column, number // len(rows)) for column in rows[number % len(rows)].texts)
        for number in range(size)
    ]
    labels = case.new_victim().probabilities(texts).argmax(-1)
    return [
        Example(number, texts_of_example, int(label))
        for number, (texts_of_example, label) in enumerate(zip(texts, labels, strict=True))
    ]


def _rotated(column: str, turns: int) -> str:
    words = column.split(" ")
    turn = turns % len(words)
    return " ".join(words[turn:] + words[:turn])
