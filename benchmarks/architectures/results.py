"""The matrix as a file of results, and the tables of the docs that are made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

from benchmarks.architectures.cells import DEFECTS, OK, REFUSED, Outcome
from benchmarks.architectures.configs import NOT_MADE
from hf_robust.reports import markdown_table

FILE = Path(__file__).parents[1] / "results" / "architectures.json"
Cells = Mapping[str, Mapping[str, Outcome]]
"""Method -> what was tried -> how it ended."""


def row_of(kind: str, cells: Cells) -> dict[str, Any]:
    """An architecture's row: its class, the number of cells, and the cells that are not ``ok`` by their outcome."""
    others: dict[Outcome, list[str]] = {}
    for method, outcomes in cells.items():
        for tried, outcome in outcomes.items():
            if outcome.word != OK:
                others.setdefault(outcome, []).append(f"{method}/{tried}")
    return {
        "classifier": CLASSIFIERS.get(kind, f"{kind} of this package"),
        "methods": len(cells),
        "cells": sum(map(len, cells.values())),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "not_ok": [{**outcome._asdict(), "cells": places} for outcome, places in sorted(others.items())],
    }


def read(path: Path = FILE) -> dict[str, Any]:
    """The rows by architecture; none if there is no such file."""
    rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return rows


def write(rows: Mapping[str, Any], path: Path = FILE) -> None:
    """Write the rows, sorted by architecture."""
    path.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n", encoding="utf-8")


def page(results: Path) -> str:
    """A row for each architecture of transformers, also for those that were not tried, and the refusals."""
    rows = read(results / FILE.name)
    header = ["architecture", "class", "cells", "ok", "refused"]
    lines = [_line(kind, rows.get(kind)) for kind in sorted({*CLASSIFIERS, *rows})]
    return (
        "# Every method and attack on every architecture\n\n"
        f"{summary(rows)} A cell is a method on a tiny random model of an architecture with a tokenizer of its kind: "
        "trained for a few steps and attacked at the end by an attack of one kind (fickle, obstinate, by gradient, by "
        "a population), or trained at zero strength. It is ok if the weights differ from those of plain training (at "
        "zero strength: if they do not) and the attack has a result. `python -m benchmarks.architectures` runs all "
        f"cells.\n\n{markdown_table(header, lines)}\n## Refusals\n\n{refusals(rows)}"
    )


def compact(results: Path) -> str:
    """How many cells of how many architectures are ok, and why the others are refused."""
    rows = read(results / FILE.name)
    return f"{summary(rows)}\n\n{refusals(rows)}"


def summary(rows: Mapping[str, Any]) -> str:
    """A sentence with the numbers of architectures, methods and cells."""
    count = {word: sum(_count(row, [word]) for row in rows.values()) for word in (REFUSED, *DEFECTS)}
    total = sum(row["cells"] for row in rows.values())
    tried, defects = sum(kind in rows for kind in CLASSIFIERS), sum(count[word] for word in DEFECTS)
    return (
        f"{len(rows)} architectures were tried with {_methods(rows)} methods, {tried} of the {len(CLASSIFIERS)} of "
        f"transformers {_versions(rows)}: "
        f"of {total:,} cells {total - count[REFUSED] - defects:,} are ok, {count[REFUSED]:,} are refused in one "
        f"sentence before training, and {defects:,} are defects."
    )


def refusals(rows: Mapping[str, Any]) -> str:
    """A row for each method or attack that some architecture refuses, with a sentence and the architectures."""
    kinds: dict[str, list[str]] = {}
    sentences: dict[str, str] = {}
    for kind, row in rows.items():
        for sentence, places in _short(row, [REFUSED]):
            for place in places:
                kinds.setdefault(place, []).append(kind)
                sentences.setdefault(place, sentence)
    lines = [[place, sentences[place], ", ".join(kinds[place])] for place in sorted(kinds)]
    return markdown_table(["what", "the sentence, of the first architecture", "architectures"], lines)


def _line(kind: str, row: Mapping[str, Any] | None) -> list[str]:
    if row is None:
        return [kind, str(CLASSIFIERS[kind]), "–", "–", f"not tried: {NOT_MADE.get(kind, 'not run yet')}"]
    ok = row["cells"] - _count(row, (REFUSED, *DEFECTS))
    refused = sorted({place for _, places in _short(row, [REFUSED]) for place in places})
    defects = sorted({f"defect: {place}" for _, places in _short(row, DEFECTS) for place in places})
    return [kind, row["classifier"], str(row["cells"]), str(ok), "; ".join([*refused, *defects]) or "–"]


def _short(row: Mapping[str, Any], words: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Sentences of the outcomes with one of ``words``, and where each was met."""
    return [(other["sentence"], _met_at(other["cells"], row)) for other in row["not_ok"] if other["word"] in words]


def _met_at(cells: Iterable[str], row: Mapping[str, Any]) -> list[str]:
    """Short names: an attack that most methods refuse, and a method where all is refused, stand once."""
    by_method: dict[str, list[str]] = {}
    for place in cells:
        method, tried = place.split("/")
        by_method.setdefault(method, []).append(tried)
    kinds = row["cells"] // row["methods"]
    every = {method for method, tried in by_method.items() if len(tried) == kinds}
    attacks = [tried for method, attacks in by_method.items() if method not in every for tried in attacks]
    shared = {tried for tried in attacks if attacks.count(tried) > row["methods"] // 2}
    single = [
        f"`{method}`, {tried}" for method, attacks in by_method.items() if method not in every
        for tried in attacks if tried not in shared
    ]  # fmt: skip
    return [*(f"`{method}`" for method in sorted(every)), *(f"{tried} attacks" for tried in sorted(shared)), *single]


def _count(row: Mapping[str, Any], words: Iterable[str]) -> int:
    return sum(len(other["cells"]) for other in row["not_ok"] if other["word"] in words)


def _methods(rows: Mapping[str, Any]) -> str:
    """Number of methods that the rows were run with: methods that came later are not in older rows."""
    counts = sorted({row["methods"] for row in rows.values()})
    return " to ".join(str(count) for count in dict.fromkeys([*counts[:1], *counts[-1:]]))


def _versions(rows: Mapping[str, Any]) -> str:
    return ", ".join(sorted({row["versions"]["transformers"] for row in rows.values()}))
