"""What the attacks of a run want, and so which of their numbers say anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.metrics import Aim, aim_of
from hf_robust.runs import Run, attack_names

FILE, REPLAY = "file", "replay"
"""Candidates of attacks that bring their texts along and search for nothing."""


def is_static(described: Mapping[str, Any]) -> bool:
    """Whether an attack brought its texts along."""
    return _candidates(described) in (FILE, REPLAY)


def has_clean_texts(described: Mapping[str, Any]) -> bool:
    """Whether there is a clean text behind each perturbed one, as there is not in a file of adversarial texts."""
    return _candidates(described) != FILE


def _candidates(described: Mapping[str, Any]) -> str:
    return str((described.get("candidates") or {}).get("name", ""))


def described_in(run: Run, attack: str) -> Mapping[str, Any]:
    """What a run's card says of an attack; empty where it says nothing."""
    return (run.card.get("attacks") or {}).get(attack) or {}


def aim_in(run: Run, attack: str) -> Aim:
    """What an attack of a run wants of the prediction."""
    return aim_of(described_in(run, attack), attack, run.published["attacks"].get(attack))


def robust_accuracy_applies(run: Run, attack: str) -> bool:
    """Whether accuracy under attack says anything.

    Not where keeping the prediction is the error (antonym, negation), nor where every example that was right ends as
    a success (input reduction).
    """
    return not aim_in(run, attack).keeps_prediction


def success_rate_applies(run: Run, attack: str) -> bool:
    """Whether the attack success rate says anything: not where every example that was right ends as a success."""
    return not aim_in(run, attack).maximises


def rated_attacks(runs: Sequence[Run]) -> list[str]:
    """Every attack of some runs whose success rate says anything, in the order in which they first appear."""
    names = dict.fromkeys(name for run in runs for name in attack_names(run.history))
    return [name for name in names if all(success_rate_applies(run, name) for run in runs)]


def is_obstinate(run: Run, attack: str) -> bool:
    """Whether an attack succeeds where the prediction stays."""
    aim = aim_in(run, attack)
    return aim.keeps_prediction and not aim.maximises


def success_of(run: Run, attack: str) -> str:
    """What an obstinate attack counts as a success: ``raises`` or ``remains``; empty where the run does not say."""
    return str((described_in(run, attack).get("goal") or {}).get("success", ""))
