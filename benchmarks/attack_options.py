"""What goes beyond identity with TextAttack, each beside the plain recipe: how much faster, and with which ASR."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.attack_bound import RecordingVictim
from benchmarks.attack_sides import Case, TimedPlans, native
from benchmarks.stopwatch import Row, mean, times
from hf_robust.attacks import Attack, attack_dataset
from hf_robust.attacks.building import leaving_early, mended, ranked
from hf_robust.attacks.engine.requests import Columns
from hf_robust.metrics import AttackRecord

IDENTICAL = "as TextAttack"


@dataclass
class Option:
    """An attack, its plan, and the texts to replay first."""

    attack: Attack
    replayed: dict[int, Columns] | None = None


def options_of(case: Case, name: str, noise: float) -> dict[str, Option]:
    """The plain recipe first, then each option that changes it, by the name of its flag."""
    plain = case.recipe(name)
    found = {
        IDENTICAL: Option(plain),
        "--attack_fixed": Option(mended(plain)),
        "--attack_early_exit": Option(leaving_early(plain)),
        "--attack_warm_start": Option(plain, successes_before(case, plain, noise)),
    }
    if plain.ranking is not None and case.victim.can_align:
        found["--attack_ranking gradient"] = Option(ranked(plain, "gradient"))
    return found


def compare_options(case: Case, name: str, rounds: int, noise: float) -> list[Row]:
    """A row for each option, with the plan kept; the options take turns in each round."""
    options = options_of(case, name, noise)
    plans = {label: TimedPlans() for label in options}
    for label, option in options.items():
        for example in case.examples:
            plans[label].get(option.attack, example)
    rows: dict[str, list[Row]] = {label: [] for label in options}
    records: dict[str, list[AttackRecord]] = {}
    for _ in range(rounds):
        for label, option in options.items():
            row, found = native(case, option.attack, plans=plans[label], replayed=option.replayed)
            rows[label].append(row)
            records[label] = found
    means = {label: mean(found) for label, found in rows.items()}
    plain = means[IDENTICAL]
    return [
        {
            "recipe": name,
            "option": label,
            **row,
            "speed_up": times(plain, row),
            "queries_ratio": row["queries"] / plain["queries"] if plain["queries"] else None,
            "asr_difference": row["asr"] - plain["asr"] if row["attacked"] and plain["attacked"] else None,
            "same_status": _same_status(records[IDENTICAL], records[label]),
            "replayed": len(options[label].replayed or {}),
            "replays_succeeded": sum(record.stop == "warm_start" for record in records[label]),
        }
        for label, row in means.items()
    ]


def successes_before(case: Case, attack: Attack, noise: float) -> dict[int, Columns]:
    """By ``idx``, the texts that succeed on a slightly different model, which stands for the epoch before."""
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
    """A copy whose parameters have Gaussian noise of ``noise`` times their own standard deviation."""
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
