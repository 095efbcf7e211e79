"""Outcome of each attacked example on the published weights of a run, read from its files.

Records (``attack_results/epoch-<e>/<attack>.jsonl`` of a training run, ``attack_results/<attack>.jsonl`` of `hf-robust
attack`) hold the texts too. Some folders have only ``statuses.json`` (`hf_robust.runs.pairs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_robust.metrics import AttackRecord
from hf_robust.runs import STATUSES_FILE, Run, read_records, read_statuses


@dataclass(frozen=True)
class AttackOutcomes:
    """Outcomes of one attack on one run: status of each example by idx, and its records if they are on disk."""

    statuses: Mapping[int, str]
    records: Mapping[int, AttackRecord] | None = None


@dataclass(frozen=True)
class ReportedRun:
    """A run with its name in the report and the outcomes of its attacks."""

    name: str
    run: Run
    outcomes: Mapping[str, AttackOutcomes]


def outcomes_of(run: Run) -> dict[str, AttackOutcomes]:
    """Outcomes of each attack of the published epoch; attacks without records and statuses are left out.

    Raises:
        ValueError: a file cannot be read.
    """
    attacks = run.published["attacks"]
    files = {name: path for name in attacks if (path := run.records_file(run.published, name)).is_file()}
    outcomes = {name: _from_records(path) for name, path in files.items()}
    if len(outcomes) < len(attacks) and (run.path / STATUSES_FILE).is_file():
        statuses = read_statuses(run.path)
        missing = [name for name in attacks if name in statuses and name not in outcomes]
        outcomes |= {name: AttackOutcomes(statuses[name]) for name in missing}
    return {name: outcomes[name] for name in attacks if name in outcomes}


def _from_records(path: Path) -> AttackOutcomes:
    try:
        records = {record.idx: record for record in read_records(path)}
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return AttackOutcomes({idx: records[idx].status for idx in sorted(records)}, records)
