"""The standard evaluation in tables: its name, what each attack added, and the quality of the successes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.reports.cells import NOTHING, attack_interval, markdown_table, percent
from hf_robust.runs import Run

Entry = Mapping[str, Any]


def standard_of(run: Run) -> Entry | None:
    """The entry ``standard`` of the published weights; None if the run was not measured by the standard."""
    entry: Entry | None = run.published.get("standard") if run.history else None
    return entry


def unlike_standards(runs: Sequence[Run]) -> str:
    """Why numbers of the standard cannot stand side by side; empty if all have the same name."""
    names = {entry["name"]: run.path.name for run in runs if (entry := standard_of(run))}
    if len(names) < 2:
        return ""
    each = ", ".join(f"{name} ({run})" for name, run in names.items())
    return f"they were measured by different standards, {each}"


def require_one_standard(runs: Sequence[Run]) -> None:
    """Raise if the runs were measured by standards of different names, that is, with other attacks or resources.

    Raises:
        ValueError: the names differ.
    """
    if reason := unlike_standards(runs):
        raise ValueError(
            f"Robust accuracies of these runs cannot be compared: {reason}; measure all of them with the same tables "
            "and models, or leave some out."
        )


def standard_in_words(entry: Entry) -> str:
    """The number in one sentence, with interval, N and cost, and what its successes are like."""
    interval = attack_interval(dict(entry), "robust_accuracy")
    clean, under = (
        percent(_number(entry, key), bounds, entry["num_examples"])
        for key, bounds in (("accuracy", None), ("robust_accuracy", interval))
    )
    text = (
        f"{entry['name']}: accuracy {clean} %, under attack {under} % ({entry['num_examples']:,.0f} examples, "
        f"{entry['queries']:,.0f} queries, {entry['seconds']:,.0f} s)."
    )
    quality = entry.get("quality") or {}
    if not quality.get("successes"):
        return text
    words = (
        "{} % of the words changed",
        "similarity {}",
        "surprise {} nats a word",
        "{} swap in an antonym",
        "{} still mean the same",
    )
    count, cells = f"{quality['successes']:,.0f}", zip(words, _quality_cells(quality), strict=True)
    parts = [word.format(cell) for word, cell in cells if cell != NOTHING]
    return f"{text} Successes: {', '.join([count, *parts])}."


def members_table(entry: Entry) -> str:
    """`member_rows` as Markdown."""
    return markdown_table(*member_rows(entry))


def member_rows(entry: Entry) -> tuple[list[str], list[list[str]]]:
    """Header, and a row for each attack: the examples that it met, those that it added, cost, and quality."""
    header = ["attack", "met", "added", "queries", "seconds", *_QUALITY]
    rows = [
        [
            member["name"],
            *(f"{member[key]:,.0f}" for key in ("met", "added", "queries")),
            f"{member['seconds']:,.1f}",
            *_quality_cells(member.get("quality") or {}),
        ]
        for member in entry["members"]
    ]
    kept = [place for place in range(len(header)) if place < 5 or any(row[place] != NOTHING for row in rows)]
    return [header[place] for place in kept], [[row[place] for place in kept] for row in rows]


_QUALITY = ("changed words, %", "similarity", "surprise, nats a word", "antonyms", "same meaning")


def _quality_cells(quality: Mapping[str, Any]) -> list[str]:
    share, similarity, surprise = (_number(quality, key) for key in ("changed_share", "similarity", "surprise"))
    counts = [f"{quality[key]:,.0f}" if key in quality else NOTHING for key in ("antonyms", "same_meaning")]
    scores = [f"{value:.2f}" if math.isfinite(value) else NOTHING for value in (similarity, surprise)]
    return [percent(share), *scores, *counts]


def _number(numbers: Mapping[str, Any], key: str) -> float:
    value = numbers.get(key)
    return math.nan if value is None else float(value)
