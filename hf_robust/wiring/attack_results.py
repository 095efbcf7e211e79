"""``AttackResults``: results of attacks on one classifier, and their files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hf_robust.attacks import Cascade, results_on_data
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.attacks.control import without_controls
from hf_robust.metrics import (
    AttackRecord,
    AttackSummary,
    ConfidenceSequence,
    asr_at_budget,
    cascade_history,
    union_of_attacks,
)
from hf_robust.metrics.budget import budgets_up_to
from hf_robust.reports import draw_asr_by_budget, results_table
from hf_robust.reports.captions import data_title
from hf_robust.runs import (
    ATTACK_SUMMARY_FILE,
    QUERIES_FOLDER,
    RESULTS_FOLDER,
    Run,
    RunCard,
    load_run,
    read_queries,
    redact,
    write_card,
    write_history_line,
    write_json,
    write_json_lines,
    write_records,
)


@dataclass
class AttackResults:
    """Results of attacks on one classifier; as a text, a table of the rates.

    Attributes:
        records: one record for each attacked example, by attack.
        summaries: the rates, by attack.
        attacks: the attacks, by name.
        card: the run card of the measurement.
        remark: a warning if the plain model was measured instead of the method's inference, else "".
        queries: with ``--keep_queries``, the file of the texts that this rank scored, by attack.
        member_seconds: seconds of each attack of a cascade, by the name of the cascade.
        until: with ``--attack_until_interval``, the sequence by which the attacks stopped.
    """

    records: Mapping[str, Sequence[AttackRecord]]
    summaries: dict[str, AttackSummary]
    attacks: Mapping[str, AttackOrForeign]
    card: RunCard
    remark: str = ""
    queries: Mapping[str, Path] = field(default_factory=dict)
    member_seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    until: ConfidenceSequence | None = None

    def __str__(self) -> str:
        return results_table(Run(Path(), [self.history_line], self.card, None))

    @cached_property
    def history_line(self) -> dict[str, Any]:
        """The line of these results in ``robustness_history.jsonl``."""
        # Attacks that bring their own texts do not measure clean accuracy.
        clean = [summary.extra["accuracy"] for summary in results_on_data(self.attacks, self.summaries).values()]
        line: dict[str, Any] = {"epoch": 0.0, "step": 0, "accuracy": clean[0] if clean else math.nan}
        line["attacks"] = {name: summary.history() for name, summary in self.summaries.items()}
        for name, attack in self.attacks.items():
            if isinstance(attack, Cascade):
                described, seconds = attack.describe(), self.member_seconds[name]
                line["standard"] = cascade_history(described, self.records[name], seconds, self.until)
        on_data = results_on_data(self.attacks, self.records)
        union = union_of_attacks(without_controls(self.attacks, on_data), self.until)
        return line if union is None else {**line, "union": union.history()}


def write_attacks(results: AttackResults, folder: Path) -> None:
    """Write ``attack_results/<attack>.jsonl``, ``attack_summary.json``, ``asr_by_budget.png``, run card and history.

    With ``--keep_queries`` also ``attack_queries/<attack>.jsonl``.

    The history has one line, so that `hf-robust report` can compare the folder with training runs.
    """
    for name, records in results.records.items():
        write_records(folder / RESULTS_FOLDER / f"{name}.jsonl", records)
    for name, path in results.queries.items():
        write_json_lines(folder / QUERIES_FOLDER / f"{name}.jsonl", read_queries(path))
    write_card(folder, results.card)
    write_history_line(folder, results.history_line)
    # Attacks that bring their own texts do not search, so they have no query budget.
    searched = results_on_data(results.attacks, results.records)
    summary = {
        "results": {name: dataclasses.asdict(rates) for name, rates in results.summaries.items()},
        "union": results.history_line.get("union"),
        **({"standard": standard} if (standard := results.history_line.get("standard")) else {}),
        "asr_by_budget": {name: _by_budget(records) for name, records in searched.items()},
    }
    write_json(folder / ATTACK_SUMMARY_FILE, {**redact(results.card), **summary})
    if searched:
        draw_asr_by_budget(searched, folder, f"{Path(results.card['model']).name} on {data_title(load_run(folder))}")


def _by_budget(records: Sequence[AttackRecord]) -> dict[str, list[float]]:
    """Return query budgets and the ASR at each of them."""
    budgets = budgets_up_to(records)
    return {"budget": list(budgets), "asr": asr_at_budget(records, budgets)}
