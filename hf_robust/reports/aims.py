"""The aim of each attack of a run, and which of its rates are therefore meaningful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.attacks.control import RANDOM_PREFIX
from hf_robust.metrics import Aim, aim_of
from hf_robust.runs import Run, attack_names

FILE, REPLAY, TRIGGERS = "file", "replay", "triggers"
"""Candidates of static attacks: they show texts that were made before and do not search."""


def is_control(described: Mapping[str, Any]) -> bool:
    """Whether an attack is the random control of another one, by its description."""
    return str(described.get("name", "")).startswith(RANDOM_PREFIX)


def is_static(described: Mapping[str, Any]) -> bool:
    """Whether an attack shows texts that were made before instead of searching."""
    return _candidates(described) in (FILE, REPLAY, TRIGGERS)


def has_clean_texts(described: Mapping[str, Any]) -> bool:
    """Whether each perturbed text has a clean original; texts of a file of adversarial texts have none."""
    return _candidates(described) != FILE


def _candidates(described: Mapping[str, Any]) -> str:
    return str((described.get("candidates") or {}).get("name", ""))


def described_in(run: Run, attack: str) -> Mapping[str, Any]:
    """Description of an attack in the run card; empty if there is none."""
    return (run.card.get("attacks") or {}).get(attack) or {}


def aim_in(run: Run, attack: str) -> Aim:
    """Aim of an attack of a run: does it want to change or to keep the prediction?"""
    return aim_of(described_in(run, attack), attack, run.published["attacks"].get(attack))


def robust_accuracy_applies(run: Run, attack: str) -> bool:
    """Whether accuracy under attack is meaningful.

    It is not for attacks that keep the prediction: antonym and negation, where keeping it is the error, and input
    reduction, which succeeds on every correctly classified example.
    """
    return not aim_in(run, attack).keeps_prediction


def success_rate_applies(run: Run, attack: str) -> bool:
    """Whether the attack success rate is meaningful; not for attacks that succeed on every correct example."""
    return not aim_in(run, attack).maximises


def rated_attacks(runs: Sequence[Run]) -> list[str]:
    """Attacks of the runs with a meaningful success rate, in order of first appearance."""
    names = dict.fromkeys(name for run in runs for name in attack_names(run.history))
    return [name for name in names if all(success_rate_applies(run, name) for run in runs)]


def is_obstinate(run: Run, attack: str) -> bool:
    """Whether an attack is obstinate: it succeeds if the prediction stays."""
    aim = aim_in(run, attack)
    return aim.keeps_prediction and not aim.maximises


def success_of(run: Run, attack: str) -> str:
    """Success rule of an obstinate attack, ``raises`` or ``remains``; empty if the run card does not say."""
    return str((described_in(run, attack).get("goal") or {}).get("success", ""))
