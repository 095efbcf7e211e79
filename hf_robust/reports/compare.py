"""Which runs may stand in one table: same data, and the same attack behind the same name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.metrics import aim_of
from hf_robust.reports.aims import is_static
from hf_robust.runs import Run, max_length_of


class IncomparableRunsError(ValueError):
    """Runs whose numbers would mislead beside each other; the message says why."""


def require_comparable(runs: Sequence[Run]) -> None:
    """Refuse runs that were not measured alike, with every reason in one sentence."""
    reasons = differences(runs)
    if reasons:
        raise IncomparableRunsError(
            f"These runs cannot be compared: {'; '.join(reasons)}; "
            "leave the odd ones out, or ask for the table all the same with --force, which marks it."
        )


def differences(runs: Sequence[Run]) -> list[str]:
    """Why numbers of these runs do not compare; empty where they do. Only what both of two runs state is compared."""
    first, *others = runs
    reasons: list[str] = []
    for other in others:
        pair = f"({first.path.name}, {other.path.name})"
        for key in _data_keys(first, other):
            mine, theirs = first.data.get(key), other.data.get(key)
            if mine is not None and theirs is not None and mine != theirs:
                reasons.append(f"data {key} differs, {mine!r} and {theirs!r} {pair}")
        reasons += [f"{reason} {pair}" for reason in _length_differences(first, other)]
        reasons += [f"{reason} {pair}" for reason in _attack_differences(_attacks(first), _attacks(other))]
        reasons += [f"{reason} {pair}" for reason in _vote_differences(first, other)]
        reasons += [f"{reason} {pair}" for reason in _certificate_differences(first, other)]
    return reasons


def _length_differences(first: Run, other: Run) -> list[str]:
    """A model that reads less of a text is another one, and the attack has fewer words that matter."""
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
        keys.sort(key=lambda key: key == "fingerprint")  # only says that something else differs
        key = keys[0]
        values = (json.dumps(attack.get(key), sort_keys=True) for attack in (mine[name], theirs[name]))
        reasons.append(f"attack {name!r} differs in {key}, {' and '.join(values)}")
    return reasons


def _vote_differences(first: Run, other: Run) -> list[str]:
    """Attacks on a vote over random substitutions and on the plain network are on two classifiers."""
    if not (first.card.get("attacks") and other.card.get("attacks")):
        return []
    mine, theirs = (without_sources(run.card.get("vote") or {}) for run in (first, other))
    if mine == theirs:
        return []
    names = [f"a vote of {vote.get('votes')}" if vote else "the plain network" for vote in (mine, theirs)]
    if names[0] == names[1]:
        return [f"{names[0]} was attacked in both, over other lexicons or with other seeds"]
    return [f"attacks met {' and '.join(names)}"]


def _certificate_differences(first: Run, other: Run) -> list[str]:
    """A certificate is relative to its table, and its rate to how votes are counted."""
    mine, theirs = (without_sources(run.card.get("certify") or {}) for run in (first, other))
    if not mine or not theirs:
        return []
    keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    values = [" and ".join(json.dumps(one.get(key), sort_keys=True) for one in (mine, theirs)) for key in keys]
    return [f"certificates differ in {key}, {value}" for key, value in zip(keys, values, strict=True)][:1]


def _data_keys(first: Run, other: Run) -> tuple[str, ...]:
    """Names and variants may hold file names, which differ between machines: equal fingerprints make them equal."""
    mine, theirs = (str(run.data.get("fingerprint") or "") for run in (first, other))
    # "train-evaluation": a checkpoint that was only attacked has the fingerprint of its evaluation rows alone.
    shared = min(mine.count("-"), theirs.count("-")) + 1
    if mine and mine.split("-")[-shared:] == theirs.split("-")[-shared:]:
        return ("attack_split", "attack_sample", "certify_sample")
    return ("name", "variant", "fingerprint", "attack_split", "attack_sample", "certify_sample")


def same_rows(first: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether an idx means one row in both ``data`` of run cards: the same evaluation rows, and one split attacked.

    Asked where runs are paired by idx without texts to compare.
    """
    prints = [str(data.get("fingerprint") or "").split("-")[-1] for data in (first, other)]
    splits = {data.get("attack_split") for data in (first, other)} - {None}
    return bool(prints[0]) and prints[0] == prints[1] and len(splits) < 2


def _attacks(run: Run) -> dict[str, Any]:
    return {name: as_compared(attack) for name, attack in (run.card.get("attacks") or {}).items()}


def as_compared(described: Mapping[str, Any]) -> dict[str, Any]:
    """An attack's description without where its lexicon was read from; an older one with what it did not say yet."""
    found: dict[str, Any] = without_sources(described)
    if found.get("goal"):
        found["goal"] = {**found["goal"], **aim_of(described)._asdict()}
    if "candidates" in found and "scores" not in found:
        found["scores"] = None if is_static(found) else "probability"
    if found.get("backend"):
        # TextAttack's own account of the recipe holds its goal.
        found.pop("goal", None)
    return found


_FOLLOWS = ("source", "coverage")


def without_sources(value: Any) -> Any:
    """A description without where a lexicon was read from, since its fingerprint says what it held, and without how
    much it covers, which follows from that and the data."""
    if isinstance(value, Mapping):
        return {key: without_sources(inner) for key, inner in value.items() if key not in _FOLLOWS}
    return [without_sources(inner) for inner in value] if isinstance(value, list) else value
