"""A leaderboard: runs measured by one standard evaluation on the same rows, as one HTML page and one JSON file.

In the manner of RobustBench (Croce et al. 2021, arXiv:2010.09670): a fixed evaluation, one row for each model, and
a flag where the number should not be believed. ``docs/leaderboard.md`` describes the JSON file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from hf_robust.metrics import ConfidenceSequence, wilson_interval
from hf_robust.reports.captions import data_title
from hf_robust.reports.cells import markdown_table, percent
from hf_robust.reports.compare import STANDARD, differences
from hf_robust.reports.document import Cell, Document, Section, Table, number_cell, page, text_cell
from hf_robust.reports.groups import group_by_seed, model_name, run_names
from hf_robust.reports.report import load_runs
from hf_robust.reports.sanity import FLAGGED, NOT_CHECKED, Finding, check_run, gather_evidence
from hf_robust.reports.standard import require_one_standard, standard_of
from hf_robust.reports.stopping import interval_name
from hf_robust.runs import Run, RunCard, redact, write_json, write_text

FORMAT = "hf_robust leaderboard 1"
PAGE_FILE, JSON_FILE, CARDS_FOLDER = "leaderboard.html", "leaderboard.json", "cards"
HEADER = (
    "rank",
    "method",
    "model",
    "clean accuracy, %",
    "standard robust accuracy, %",
    "forwards a training step",
    "training, s",
    "queries",
    "attack, s",
    "texts",
    "flagged by check",
    "card",
)


@dataclass(frozen=True)
class Entry:
    """One row: a run, the standard's numbers of its published weights, and what `hf-robust check` says of it.

    ``correct`` and ``robust`` count texts: those that are classified correctly, and those that withstood all members.
    ``training`` is the run card of the training behind the weights; empty if it is unknown.
    """

    name: str
    run: Run
    numbers: Mapping[str, Any]
    findings: Sequence[Finding]
    training: RunCard

    @property
    def examples(self) -> int:
        return int(self.numbers["num_examples"])

    @property
    def correct(self) -> int:
        return round(float(self.numbers["accuracy"]) * self.examples)

    @property
    def robust(self) -> int:
        return round(float(self.numbers["robust_accuracy"]) * self.examples)

    def interval(self, count: int) -> tuple[float, float]:
        """The 95 % interval of a share of the texts: Wilson's, or that of the sequence at which the attack stopped."""
        until = ConfidenceSequence.of_result(_attacked(self.run))
        return wilson_interval(count, self.examples) if until is None else until.interval(count, self.examples)

    @property
    def card_file(self) -> str:
        """The entry's run card, relative to the page."""
        return f"{CARDS_FOLDER}/{re.sub(r'[^A-Za-z0-9._-]+', '-', self.name).strip('-')}.json"

    @property
    def data_name(self) -> str:
        return data_title(self.run) or "unnamed data"

    @property
    def flagged(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.status == FLAGGED]


# ---- what may stand on one leaderboard ----


def load_leaderboard(run_dirs: Sequence[str | Path]) -> list[Entry]:
    """Read the runs of a leaderboard and check each; the most robust first, of equally robust ones the most accurate.

    Raises:
        ValueError: there is no run, a run cannot be read or has no standard evaluation, its numbers contradict each
            other, or the runs were measured by unlike standards or on other rows.
    """
    runs = load_runs(run_dirs, force=True)
    for run in runs:
        _check_numbers(run)
    _check_alike(runs)
    grouped = group_by_seed(runs)
    names = [name for group in run_names(grouped) for name in group]
    named = zip(names, [run for group in grouped for run in group], strict=True)
    entries = []
    for number, (name, run) in enumerate(named, 1):
        evidence = gather_evidence(run.path)
        unique = name if names.count(name) == 1 else f"{name} ({number})"
        entries.append(Entry(unique, run, run.published["standard"], check_run(evidence), evidence.main.training))
    return sorted(
        entries, key=lambda entry: (-entry.robust / entry.examples, -entry.correct / entry.examples, entry.name)
    )


def _check_numbers(run: Run) -> None:
    """Refuse a run without the standard, and numbers that no evaluation can give."""
    numbers = standard_of(run)
    if numbers is None:
        raise ValueError(
            f"{run.path} has no standard evaluation of its published weights; measure it by hf-robust attack "
            f"{run.path} --data FILE --attacks standard, and give the folder that this writes."
        )
    count = int(numbers["num_examples"])
    correct, robust = (numbers[key] * count for key in ("accuracy", "robust_accuracy"))
    found = sum(member["added"] for member in numbers["members"])
    whole = all(math.isfinite(value) and abs(value - round(value)) < 1e-6 for value in (correct, robust))
    if not whole or not 0 <= robust <= correct <= count or round(correct) - found != round(robust):
        raise ValueError(
            f"the standard's numbers in {run.path} contradict each other: of {count} texts {correct:g} are correct, "
            f"the attacks change {found}, and {robust:g} are robust; measure the model again."
        )


def _check_alike(runs: Sequence[Run]) -> None:
    """Refuse runs of unlike standards, and runs on other rows or texts cut elsewhere."""
    require_one_standard(runs)
    # Runs that stopped at an interval took the first rows of one random order.
    counts = dict.fromkeys(
        int(_attacked(run).get("num_rows") or run.published["standard"]["num_examples"]) for run in runs
    )
    reasons = [f"{' and '.join(map(str, counts))} texts were attacked"] if len(counts) > 1 else []
    # Other attacks and certificates may differ, and a vote is a model of its own.
    reasons += differences([replace(run, card=_of_the_data(run.card)) for run in runs])
    if reasons:
        raise ValueError(
            f"a leaderboard is of the same rows, and these runs are not: {'; '.join(reasons)}; leave some out, or "
            "measure them on the same data."
        )


def _attacked(run: Run) -> Mapping[str, Any]:
    """The standard's entry among the attacks, which says whether it stopped at an interval, and of how many rows."""
    entry: Mapping[str, Any] = run.published["attacks"].get(STANDARD) or {}
    return entry


def _of_the_data(card: RunCard) -> RunCard:
    """The part of a run card that says which rows were measured, and up to which token."""
    return cast("RunCard", {key: value for key, value in card.items() if key in ("data", "command")})


# ---- the files ----


def write_leaderboard(entries: Sequence[Entry], folder: str | Path) -> list[Path]:
    """Write ``leaderboard.html``, ``leaderboard.json`` and a folder of run cards; returns the first two.

    Raises:
        ValueError: the folder's name is that of a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output {folder} is a file; name a folder.")
    write_text(folder / PAGE_FILE, page(document(entries)))
    write_json(folder / JSON_FILE, as_json(entries))
    for entry in entries:
        write_json(folder / entry.card_file, redact(entry.run.card))
    return [folder / PAGE_FILE, folder / JSON_FILE]


def table_of_entries(entries: Sequence[Entry]) -> str:
    """The rows as a Markdown table, without links."""
    table = _board(entries)
    return markdown_table(table.header[:-1], [[cell.text for cell in row[:-1]] for row in table.rows])


def as_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """The leaderboard for other tools, JSON-ready; rates are in [0, 1], and what is unknown is None."""
    first = entries[0]
    return {
        "format": FORMAT,
        "standard": {key: first.numbers.get(key) for key in ("name", "version", "resources")},
        "data": {
            "name": first.data_name,
            **{key: first.run.data.get(key) for key in ("fingerprint", "attack_split", "attack_sample")},
        },
        "entries": [
            {
                "rank": rank,
                "name": entry.name,
                "method": entry.run.method,
                "model": redact(entry.run.card.get("model")),
                "architecture": entry.run.card.get("architecture"),
                "seed": entry.training.get("seed"),
                "num_examples": entry.examples,
                "accuracy": _rate(entry, entry.correct),
                "robust_accuracy": _rate(entry, entry.robust),
                "members": [dict(member) for member in entry.numbers["members"]],
                "quality": entry.numbers.get("quality"),
                "queries": entry.numbers["queries"],
                "seconds": entry.numbers["seconds"],
                "training": dict(zip(("forwards_per_step", "seconds"), _training(entry), strict=True)),
                "flags": [
                    {"check": finding.check, "title": finding.title, "reasons": redact(list(finding.flags))}
                    for finding in entry.flagged
                ],
                "not_checked": [finding.check for finding in entry.findings if finding.status == NOT_CHECKED],
                "card": entry.card_file,
            }
            for rank, entry in enumerate(entries, 1)
        ],
    }


def document(entries: Sequence[Entry]) -> Document:
    """The sections of the page."""
    first = entries[0]
    name, count = first.numbers["name"], len(entries)
    intervals = interval_name(entry.run.published for entry in entries)
    board = Section(
        "Leaderboard",
        [
            "The standard robust accuracy is the share of all texts that are classified correctly and withstand each "
            f"attack of the standard. Brackets: 95 % {intervals}; models whose intervals overlap may differ by "
            "chance. A flagged number should not be believed: its reason is below.",
        ],
        tables=[_board(entries)],
    )
    members = Section(
        "What each attack found",
        ["Texts that withstood all attacks to the left and fell to this one, as a share of all texts, in %."],
        tables=[_members(entries)],
    )
    flags = [f"{entry.name}: {reason}" for entry in entries for finding in entry.flagged for reason in finding.flags]
    checks = Section(
        "Flags", ["`hf-robust check` flags no row."] if not flags else [], items=[*map(str, redact(flags))]
    )
    introduction = f"{count} model{'s' * (count > 1)} measured by {name}; data: {first.data_name}."
    sections = [board, members, checks, Section("Resources", items=list(_resources(first.numbers)))]
    return Document("Robustness leaderboard", introduction, [], sections)


def _board(entries: Sequence[Entry]) -> Table:
    rows = []
    for rank, entry in enumerate(entries, 1):
        steps, seconds = _training(entry)
        rows.append(
            [
                Cell(str(rank), rank),
                text_cell(entry.name),
                text_cell(redact(model_name(entry.run))),
                _rate_cell(entry, entry.correct),
                _rate_cell(entry, entry.robust),
                number_cell(math.nan if steps is None else steps, ".2f"),
                number_cell(math.nan if seconds is None else seconds, ",.0f"),
                number_cell(float(entry.numbers["queries"]), ",.0f"),
                number_cell(float(entry.numbers["seconds"]), ",.0f"),
                number_cell(entry.examples, ",.0f"),
                text_cell("; ".join(finding.title for finding in entry.flagged)),
                replace(text_cell("run card"), link=entry.card_file),
            ]
        )
    return Table("Most robust first", HEADER, rows, filtered=True)


def _members(entries: Sequence[Entry]) -> Table:
    names = list(dict.fromkeys(member["name"] for entry in entries for member in entry.numbers["members"]))
    rows = []
    for entry in entries:
        added = {member["name"]: int(member["added"]) for member in entry.numbers["members"]}
        shares = [100 * added[name] / entry.examples if name in added else math.nan for name in names]
        rows.append([text_cell(entry.name), *map(number_cell, shares)])
    return Table("Texts that fall to each attack", ["method", *names], rows)


def _resources(numbers: Mapping[str, Any]) -> Iterator[str]:
    """A line for each resource that the attacks drew on."""
    for role, described in (numbers.get("resources") or {}).items():
        parts = [str(described[key]) for key in ("name", "source", "fingerprint") if described.get(key)]
        yield f"{role.replace('_', ' ')}: {', '.join(dict.fromkeys(parts))}"


def _training(entry: Entry) -> tuple[float | None, float | None]:
    """Forward passes of a training step, and the seconds of training with what came before it; None if unknown."""
    forwards, seconds = entry.training.get("forwards") or {}, entry.training.get("seconds") or {}
    phases = [seconds[key] for key in ("train", "baseline", "level", "generate") if seconds.get(key) is not None]
    return forwards.get("per_step"), sum(phases) if phases else None


def _rate(entry: Entry, count: int) -> dict[str, float]:
    low, high = entry.interval(count)
    return {"value": count / entry.examples, "low": low, "high": high}


def _rate_cell(entry: Entry, count: int) -> Cell:
    total = entry.examples
    return Cell(percent(count / total, entry.interval(count), total), 100 * count / total)
