"""Attacked texts side by side: the original and its perturbed form in each run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from hf_robust.metrics import AttackRecord
from hf_robust.reports.document import AttackedText, Version
from hf_robust.reports.marked import marked_differences, marked_in_any_version, merged_pieces
from hf_robust.reports.outcomes import ReportedRun
from hf_robust.runs import label_names

SEED = 0
FEW = 3
LONGEST = 1500
OUTCOME = {"succeeded": "fell", "failed": "withstood", "skipped": "not attacked"}


def examples_of(attack: str, runs: Sequence[ReportedRun], count: int = FEW, seed: int = SEED) -> list[AttackedText]:
    """A few examples of one attack in random order by a seed: first those that fooled some runs but not others.

    Then those that fooled every run, then the others. Only examples with the same text and label in all runs with
    records are used.
    """
    with_records = [(run, ended.records) for run in runs if (ended := run.outcomes.get(attack)) and ended.records]
    rows = list(_common([records for _, records in with_records]))
    random.Random(f"{seed} {attack}").shuffle(rows)
    rows.sort(key=_interest)
    return [_example(attack, [run for run, _ in with_records], row) for row in rows[:count]]


def _common(every: Sequence[Mapping[int, AttackRecord]]) -> Iterator[list[AttackRecord]]:
    """Records of each example that all runs share, in the order of idx."""
    if not every:
        return
    for idx in sorted(set(every[0]).intersection(*every[1:])):
        row = [records[idx] for records in every]
        if all((record.original, record.label) == (row[0].original, row[0].label) for record in row):
            yield row


def _interest(row: Sequence[AttackRecord]) -> int:
    fell, withstood = (any(record.status == status for record in row) for status in ("succeeded", "failed"))
    return 0 if fell and withstood else 1 if fell else 2


def _example(attack: str, runs: Sequence[ReportedRun], row: Sequence[AttackRecord]) -> AttackedText:
    names = next((names for named in runs if (names := label_names(named.run))), {})
    original = " | ".join(row[0].original)
    compared = [marked_differences(original, " | ".join(record.perturbed)) for record in row]
    versions = [
        Version(named.name, _outcome(record), _detail(names, record), merged_pieces(after, LONGEST))
        for named, record, (_, after) in zip(runs, row, compared, strict=True)
    ]
    before = marked_in_any_version([pieces for pieces, _ in compared])
    title = f"{attack}, example {row[0].idx}, label {names.get(row[0].label, row[0].label)}"
    return AttackedText(title, merged_pieces(before, LONGEST), versions)


def _outcome(record: AttackRecord) -> str:
    if record.status == "skipped" and record.original_prediction != record.label:
        return "was wrong before"
    return OUTCOME[record.status]


def _detail(names: Mapping[int, str], record: AttackRecord) -> str:
    before, after = (names.get(one, str(one)) for one in (record.original_prediction, record.perturbed_prediction))
    answer = f"{before} → {after}" if before != after else f"{before} stays"
    if record.status == "skipped":
        return f"predicts {before}"
    words = f", {len(record.changed)} words changed" if len(record.changed) != 1 else ", 1 word changed"
    return f"{answer}{words}, {record.queries} queries"
