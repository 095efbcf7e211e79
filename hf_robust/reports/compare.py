"""Comparability of runs: runs in one table need the same data, and the same attack behind the same name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.metrics import aim_of
from hf_robust.reports.aims import is_static
from hf_robust.reports.standard import unlike_standards
from hf_robust.runs import Run, max_length_of

STANDARD = "standard"
"""The attack that is a list of others; its name in the run card says its resources."""


class IncomparableRunsError(ValueError):
    """The runs are not comparable; the message says why."""


def require_comparable(runs: Sequence[Run]) -> None:
    """Raise IncomparableRunsError with all reasons if the runs are not comparable."""
    reasons = differences(runs)
    if reasons:
        raise IncomparableRunsError(
            f"These runs are not comparable: {'; '.join(reasons)}; "
            "leave some runs out, or use --force, which adds a warning to the result."
        )


def differences(runs: Sequence[Run]) -> list[str]:
    """Reasons why these runs are not comparable; empty if they are. Compares only what both run cards state."""
    first, *others = runs
    reasons: list[str] = []
    for other in others:
        pair = f"({first.path.name}, {other.path.name})"
        for key in _data_keys(first, other):
            mine, theirs = first.data.get(key), other.data.get(key)
            if mine is not None and theirs is not None and mine != theirs:
                reasons.append(f"data {key} differs, {mine!r} and {theirs!r} {pair}")
        reasons += [f"{reason} {pair}" for reason in _length_differences(first, other)]
        unlike = unlike_standards([first, other])
        reasons += [unlike] * bool(unlike)
        reasons += [
            f"{reason} {pair}"
            for reason in _attack_differences(_attacks(first), _attacks(other))
            if not (unlike and reason.startswith(f"attack {STANDARD!r}"))
        ]
        reasons += [f"{reason} {pair}" for reason in _vote_differences(first, other)]
        reasons += [f"{reason} {pair}" for reason in _certificate_differences(first, other)]
    return reasons


def _length_differences(first: Run, other: Run) -> list[str]:
    """Maximum lengths differ: with a shorter one the model reads less and the attack has fewer words to change."""
    mine, theirs = max_length_of(first.card), max_length_of(other.card)
    if mine is None or theirs is None or mine == theirs:
        return []
    return [f"texts were cut at {mine} and at {theirs} tokens"]


def _attack_differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    reasons = []
    for name in mine:
        if name not in theirs or mine[name] == theirs[name]:
            continue
        keys = [key for key in {**mine[name], **theirs[name]} if mine[name].get(key) != theirs[name].get(key)]
        keys.sort(key=lambda key: key == "fingerprint")  # least informative, so last
        key = keys[0]
        values = (json.dumps(attack.get(key), sort_keys=True) for attack in (mine[name], theirs[name]))
        reasons.append(f"attack {name!r} differs in {key}, {' and '.join(values)}")
    return reasons


def _vote_differences(first: Run, other: Run) -> list[str]:
    """The attacked classifiers differ: a vote over random substitutions or the plain network."""
    if not (first.card.get("attacks") and other.card.get("attacks")):
        return []
    mine, theirs = (without_sources(run.card.get("vote") or {}) for run in (first, other))
    if mine == theirs:
        return []
    names = [f"a vote of {vote.get('votes')}" if vote else "the plain network" for vote in (mine, theirs)]
    if names[0] == names[1]:
        return [f"both runs attacked {names[0]}, but with different lexicons or seeds"]
    return [f"one run attacked {names[0]}, the other {names[1]}"]


def _certificate_differences(first: Run, other: Run) -> list[str]:
    """Certificates depend on the table of substitutes and on the settings of the vote."""
    mine, theirs = (without_sources(run.card.get("certify") or {}) for run in (first, other))
    if not mine or not theirs:
        return []
    keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    values = [" and ".join(json.dumps(one.get(key), sort_keys=True) for one in (mine, theirs)) for key in keys]
    return [f"certificates differ in {key}, {value}" for key, value in zip(keys, values, strict=True)][:1]


def _data_keys(first: Run, other: Run) -> tuple[str, ...]:
    """Keys of ``data`` to compare; names may contain file names of one machine, so equal fingerprints replace them."""
    mine, theirs = (str(run.data.get("fingerprint") or "") for run in (first, other))
    # Fingerprints are "train-evaluation"; a checkpoint that was only attacked has that of the evaluation rows alone.
    shared = min(mine.count("-"), theirs.count("-")) + 1
    if mine and mine.split("-")[-shared:] == theirs.split("-")[-shared:]:
        return ("attack_split", "attack_sample", "certify_sample")
    return ("name", "variant", "fingerprint", "attack_split", "attack_sample", "certify_sample")


def same_rows(first: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether an idx means the same row in both ``data`` entries: same evaluation rows and same attacked split.

    Needed to pair examples by idx if their texts are not on disk.
    """
    prints = [str(data.get("fingerprint") or "").split("-")[-1] for data in (first, other)]
    splits = {data.get("attack_split") for data in (first, other)} - {None}
    return bool(prints[0]) and prints[0] == prints[1] and len(splits) < 2


def _attacks(run: Run) -> dict[str, Any]:
    return {name: as_compared(attack) for name, attack in (run.card.get("attacks") or {}).items()}


def as_compared(described: Mapping[str, Any]) -> dict[str, Any]:
    """An attack's description in comparable form: without lexicon sources, older ones with today's defaults."""
    comparable: dict[str, Any] = without_sources(described)
    if comparable.get("goal"):
        comparable["goal"] = {**comparable["goal"], **aim_of(described)._asdict()}
    if "candidates" in comparable and "scores" not in comparable:
        comparable["scores"] = None if is_static(comparable) else "probability"
    if comparable.get("backend"):
        # TextAttack's description of the recipe contains the goal.
        comparable.pop("goal", None)
    return comparable


_FOLLOWS = ("source", "coverage")


def without_sources(value: Any) -> Any:
    """A description without lexicon sources and coverage, which follow from the fingerprint and the data."""
    if isinstance(value, Mapping):
        return {key: without_sources(inner) for key, inner in value.items() if key not in _FOLLOWS}
    return [without_sources(inner) for inner in value] if isinstance(value, list) else value
