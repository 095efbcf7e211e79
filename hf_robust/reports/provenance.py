"""Provenance of the runs of a report: versions, seeds, commands, data and lexicons, and which runs share them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hf_robust.reports.document import Table, text_cell
from hf_robust.reports.guessing import guessing_warnings
from hf_robust.reports.limits import leaked, limits, same_attack, saturated
from hf_robust.reports.reproduction import reproduction
from hf_robust.runs import Run, redact

NamedRun = tuple[str, Run]
EVERY = "all"


def provenance_table(runs: Sequence[NamedRun]) -> Table:
    """Table with a row for each setting and each of its values, with the runs that have it."""
    shared = _runs_by_entry(runs, lambda run: list(_settings(run)))
    header = ["setting", "value", "runs"]
    # Values of one setting are adjacent, in the order of the settings of the first run.
    order = list(dict.fromkeys(setting for setting, _ in shared))
    rows = [
        [text_cell(setting), text_cell(value), text_cell(names)]
        for wanted in order
        for (setting, value), names in shared.items()
        if setting == wanted
    ]
    return Table("Versions, data, lexicons, seeds and commands", header, rows)


def limits_of(runs: Sequence[NamedRun]) -> list[str]:
    """Limits of the numbers, each once with the names of the runs that it holds for."""
    shared = _runs_by_entry(
        runs, lambda run: [("", sentence.replace("`", "")) for sentence in limits(run, rates=False)]
    )
    return [sentence if names == EVERY else f"{names}: {sentence}" for (_, sentence), names in shared.items()]


def run_warnings(runs: Sequence[NamedRun]) -> list[str]:
    """Warnings to read before the numbers: models that guess, blind attacks, leaked data, unfinished runs."""
    shared = _runs_by_entry(runs, lambda run: [("", warning.replace("`", "")) for warning in _warnings(run)])
    return [f"{names}: {sentence}" for (_, sentence), names in shared.items()]


def _warnings(run: Run) -> Iterator[str]:
    yield from guessing_warnings(run)
    yield from saturated(run)
    yield from leaked(run)
    yield from same_attack(run)
    if not run.ended:
        yield "The run has not ended; its numbers are those of the last measured epoch."
    if run.card.get("counted_from"):
        yield (
            f"The run was resumed from step {run.card['counted_from']}; its seconds and forward passes are counted "
            "from that step on."
        )


def _runs_by_entry(
    runs: Sequence[NamedRun], entries_of: Callable[[Run], list[tuple[str, str]]]
) -> dict[tuple[str, str], str]:
    """Each entry with the names of the runs that have it; ``all`` if all of several runs have it."""
    names_of: dict[tuple[str, str], list[str]] = {}
    for name, run in runs:
        for entry in dict.fromkeys(entries_of(run)):
            names_of.setdefault(entry, []).append(name)
    return {entry: EVERY if len(names) == len(runs) > 1 else ", ".join(names) for entry, names in names_of.items()}


def _settings(run: Run) -> Iterator[tuple[str, str]]:
    """Name and value of each setting of a run."""
    card: dict[str, Any] = redact(run.card)
    if not card:
        yield "run card", "none, so settings and versions are unknown"
    if "seed" in card:
        yield "seed", str(card["seed"])
    for key, name in (
        ("name", "data"), ("variant", "data variant"), ("fingerprint", "data fingerprint"),
        ("attack_split", "attacked split"), ("attack_sample", "attacked sample"),
        ("max_length", "maximum length in tokens"), ("class_shares", "class shares"),
        ("seen_in_training", "evaluation texts seen in training"),
    ):  # fmt: skip
        if (value := (card.get("data") or {}).get(key)) is not None:
            yield name, _described(value)
    for role, lexicon in (card.get("lexicons") or {}).items():
        yield f"lexicon: {role}", _described(lexicon)
    for name, settings in (("certificate", card.get("certify")), ("vote", card.get("vote"))):
        if settings:
            yield name, _described(settings)
    for key in ("config", "training"):
        if card.get(key):
            yield {"config": "method settings", "training": "training settings"}[key], _described(card[key])
    for package, version in (card.get("versions") or {}).items():
        yield f"version: {package}", str(version)
    if card.get("hardware"):
        yield "hardware", _described(card["hardware"])
    reproduced = reproduction(card)
    if reproduced.command or reproduced.note:
        yield "command", " ".join(filter(None, [reproduced.command, reproduced.note.replace("`", "")]))


def _described(value: Any) -> str:
    """Settings as one line, without those that are not set."""
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items() if inner not in (None, [], {}, ""))


def _value(inner: Any) -> str:
    if isinstance(inner, float):
        return f"{inner:.6g}"
    return str(inner) if isinstance(inner, (str, int)) else json.dumps(inner)
