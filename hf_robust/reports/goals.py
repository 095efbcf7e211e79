"""What an attack wants, read from its description in the run card: another prediction, the same, or fewer words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.runs import Run, attack_names

CHANGES, KEEPS, SHORTENS = "changes", "keeps", "shortens"
FILE, REPLAY = "file", "replay"
STATIC = (FILE, REPLAY)
"""Candidates of attacks that bring their texts along and search for nothing."""
# Goals of cards that do not say whether the prediction is to stay, and attacks that are not described at all.
_BY_GOAL = {"remain": KEEPS, "shorten": SHORTENS}
_BY_NAME = {"antonym": KEEPS, "negation": KEEPS, "input_reduction": SHORTENS}


def goal_of(attack: str, described: Mapping[str, Any]) -> str:
    """CHANGES: another prediction is the success. KEEPS: the same one is (obstinacy). SHORTENS: as few words as the
    prediction survives, so that every example that was right ends as a success.

    >>> goal_of("antonym", {}), goal_of("mine", {"goal": {"name": "misclassify", "keeps_prediction": False}})
    ('keeps', 'changes')
    """
    goal = described.get("goal") or {}
    known = _BY_GOAL.get(str(goal.get("name", "")))
    if known or not goal:
        return known or _BY_NAME.get(attack, CHANGES)
    return KEEPS if goal.get("keeps_prediction") else CHANGES


def is_static(described: Mapping[str, Any]) -> bool:
    """Whether an attack brought its texts along."""
    return _candidates(described) in STATIC


def has_clean_texts(described: Mapping[str, Any]) -> bool:
    """Whether there is a clean text behind each perturbed one, as there is not in a file of adversarial texts."""
    return _candidates(described) != FILE


def _candidates(described: Mapping[str, Any]) -> str:
    return str((described.get("candidates") or {}).get("name", ""))


def described_in(run: Run, attack: str) -> Mapping[str, Any]:
    """What a run's card says of an attack; empty where it says nothing."""
    return (run.card.get("attacks") or {}).get(attack) or {}


def goal_in(run: Run, attack: str) -> str:
    """The goal of an attack that a run was measured by."""
    return goal_of(attack, described_in(run, attack))


def robust_accuracy_applies(run: Run, attack: str) -> bool:
    """Whether accuracy under attack says anything.

    Not where keeping the prediction is the error (antonym, negation), nor where every example that was right ends as
    a success (input reduction).
    """
    return goal_in(run, attack) == CHANGES


def success_rate_applies(run: Run, attack: str) -> bool:
    """Whether the attack success rate says anything: not where every example that was right ends as a success."""
    return goal_in(run, attack) != SHORTENS


def rated_attacks(runs: Sequence[Run]) -> list[str]:
    """Every attack of some runs whose success rate says anything, in the order in which they first appear."""
    names = dict.fromkeys(name for run in runs for name in attack_names(run.history))
    return [name for name in names if all(success_rate_applies(run, name) for run in runs)]


def is_obstinate(run: Run, attack: str) -> bool:
    """Whether an attack succeeds where the prediction stays."""
    return goal_in(run, attack) == KEEPS


def success_of(run: Run, attack: str) -> str:
    """What an obstinate attack counts as a success: ``raises`` or ``remains``; empty where the run does not say."""
    return str((described_in(run, attack).get("goal") or {}).get("success", ""))
