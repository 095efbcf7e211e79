"""How each example of each attack ended on a run's kept weights, from what the run left on disk.

Records (``attack_results/epoch-<e>/<attack>.jsonl`` of a training run, ``attack_results/<attack>.jsonl`` of `hf-robust
attack`) hold the texts too. Of kept runs there may be ``statuses.json`` alone (`hf_robust.runs.pairs`), which is
of the last measured epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_robust.metrics import AttackRecord
from hf_robust.runs import STATUSES_FILE, Run, read_records, read_statuses


@dataclass(frozen=True)
class AttackOutcomes:
    """One attack on one run: the status of each example by idx, and the records behind them where they were kept."""

    statuses: Mapping[int, str]
    records: Mapping[int, AttackRecord] | None = None


@dataclass(frozen=True)
class ReportedRun:
    """A run with the name that the report gives it, and how its examples ended."""

    name: str
    run: Run
    outcomes: Mapping[str, AttackOutcomes]


def outcomes_of(run: Run) -> dict[str, AttackOutcomes]:
    """The outcomes of each attack of the published epoch; attacks of which nothing was kept are left out.

    Raises:
        ValueError: a file is there but holds something else.
    """
    attacks = run.published["attacks"]
    files = {name: path for name in attacks if (path := run.records_file(run.published, name)).is_file()}
    found = {name: _from_records(path) for name, path in files.items()}
    last = run.published is run.history[-1]
    if last and len(found) < len(attacks) and (run.path / STATUSES_FILE).is_file():
        kept = read_statuses(run.path)
        found |= {name: AttackOutcomes(kept[name]) for name in attacks if name in kept and name not in found}
    return {name: found[name] for name in attacks if name in found}


def _from_records(path: Path) -> AttackOutcomes:
    try:
        records = {record.idx: record for record in read_records(path)}
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return AttackOutcomes({idx: records[idx].status for idx in sorted(records)}, records)
