"""Where the runs of a report come from: versions, seeds, commands, data, lexicons, and which runs share each."""

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
    """A row for each thing stated and each value of it, with the runs that state it."""
    shared = _shared(runs, lambda run: list(_stated(run)))
    header = ["what", "value", "runs"]
    # Values of one thing stand together, in the order in which the first run states things.
    order = list(dict.fromkeys(what for what, _ in shared))
    rows = [
        [text_cell(what), text_cell(value), text_cell(names)]
        for wanted in order
        for (what, value), names in shared.items()
        if what == wanted
    ]
    return Table("Versions, data, lexicons, seeds and commands", header, rows)


def limits_of(runs: Sequence[NamedRun]) -> list[str]:
    """What the numbers of each run do not show, once each, with the runs that it holds for."""
    shared = _shared(runs, lambda run: [("", sentence.replace("`", "")) for sentence in limits(run, rates=False)])
    return [sentence if names == EVERY else f"{names}: {sentence}" for (_, sentence), names in shared.items()]


def run_warnings(runs: Sequence[NamedRun]) -> list[str]:
    """What must be read before any number: models that guess, attacks that were blind or trained on, leaks,
    unfinished runs."""
    shared = _shared(runs, lambda run: [("", mark.replace("`", "")) for mark in _marks(run)])
    return [f"{names}: {sentence}" for (_, sentence), names in shared.items()]


def _marks(run: Run) -> Iterator[str]:
    yield from guessing_warnings(run)
    yield from saturated(run)
    yield from leaked(run)
    yield from same_attack(run)
    if not run.ended:
        yield "The run has not ended; its numbers are those of the last epoch measured so far."
    if run.card.get("counted_from"):
        yield f"The run went on from step {run.card['counted_from']}: its seconds and forward passes are those since."


def _shared(runs: Sequence[NamedRun], told: Callable[[Run], list[tuple[str, str]]]) -> dict[tuple[str, str], str]:
    """Each thing told with the names of the runs that tell it, ``all`` where each of several does."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, run in runs:
        for one in dict.fromkeys(told(run)):
            found.setdefault(one, []).append(name)
    return {one: EVERY if len(names) == len(runs) > 1 else ", ".join(names) for one, names in found.items()}


def _stated(run: Run) -> Iterator[tuple[str, str]]:
    card: dict[str, Any] = redact(run.card)
    if not card:
        yield "run card", "none, so settings and versions are not known"
    if "seed" in card:
        yield "seed", str(card["seed"])
    for key, said in (
        ("name", "data"), ("variant", "data variant"), ("fingerprint", "data fingerprint"),
        ("attack_split", "attacked split"), ("attack_sample", "attacked sample"), ("max_length", "cut in tokens"),
        ("class_shares", "shares of the classes"),
        ("seen_in_training", "attacked texts seen in training"),
    ):  # fmt: skip
        if (value := (card.get("data") or {}).get(key)) is not None:
            yield said, _described(value)
    for role, lexicon in (card.get("lexicons") or {}).items():
        yield f"lexicon: {role}", _described(lexicon)
    for name, given in (("certificate", card.get("certify")), ("vote", card.get("vote"))):
        if given:
            yield name, _described(given)
    for key in ("config", "training"):
        if card.get(key):
            yield {"config": "method settings", "training": "training settings"}[key], _described(card[key])
    for package, version in (card.get("versions") or {}).items():
        yield f"version: {package}", str(version)
    if card.get("hardware"):
        yield "hardware", _described(card["hardware"])
    again = reproduction(card)
    if again.command or again.note:
        yield "command", " ".join(filter(None, [again.command, again.note.replace("`", "")]))


def _described(value: Any) -> str:
    """Settings in a line; those that are not set are left out."""
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items() if inner not in (None, [], {}, ""))


def _value(inner: Any) -> str:
    if isinstance(inner, float):
        return f"{inner:.6g}"
    return str(inner) if isinstance(inner, (str, int)) else json.dumps(inner)
