"""Check that the files of a run are complete and that its rates match its records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.metrics import AttackRecord, AttackSummary, ConfidenceSequence, union_of_attacks
from hf_robust.metrics.rates import ratio
from hf_robust.reports.aims import is_control, is_static
from hf_robust.reports.sanity.evidence import Evidence, Folder, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.runs import RESULTS_FOLDER, STATUS_LETTERS, history_path, is_torn, read_records

CLOSE = 1e-6
_NOT_RATES = ("seconds",)


def complete_run(evidence: Evidence) -> Finding:
    """Flag truncated files, an unfinished training, and rates that differ from the records."""
    finding = Finding("complete_run", "complete files, and rates that match the records")
    _files(finding, evidence)
    for folder in (evidence.main, *evidence.others):
        _history(finding, folder)
    for reason in evidence.stale:
        finding.flags.append(f"{reason}; the checks ignore it.")
    finding.observations += [f"{reason}; the checks ignore it." for reason in evidence.unrelated]
    return finding


def _files(finding: Finding, evidence: Evidence) -> None:
    run = evidence.run
    if history_path(run.path).is_file() and is_torn(history_path(run.path)):
        finding.flags.append("the last line of robustness_history.jsonl is incomplete.")
    if not run.card:
        finding.flags.append("there is no run_card.json, so the model, data and attacks of the run are unknown.")
    elif evidence.main.trained:
        if not run.ended:
            finding.flags.append("training has not ended: the run card has no final_step.")
            finding.advice.append("resume it with --resume_from_checkpoint, or train again.")
        elif not run.measured_exactly:
            finding.flags.append(
                f"the saved weights (step {run.kept_step}) were not attacked; the numbers are those of step "
                f"{run.published['step']:.0f}."
            )
        else:
            finding.observations.append(f"the attacks ran on the saved weights (step {run.kept_step}).")


def _history(finding: Finding, folder: Folder) -> None:
    run = folder.run
    if not (run.path / RESULTS_FOLDER).is_dir():
        _statuses(finding, folder)
        return
    records_read = 0
    for line in run.history:
        records_of = {}
        for name, result in line["attacks"].items():
            file = run.records_file(line, name)
            where = f"{run.path.name}, epoch {line['epoch']:g}, {name}"
            if not file.is_file():
                finding.flags.append(f"{where}: its records are missing ({RESULTS_FOLDER}).")
                continue
            records_of[name] = read_records(file)
            _compare(finding, where, records_of[name], result)
            records_read += len(records_of[name])
        _union(finding, run.card, records_of, line, f"{run.path.name}, epoch {line['epoch']:g}")
    _orphans(finding, folder)
    epochs = len(run.history)
    finding.observations.append(
        f"{run.path.name}: {records_read:,} records of {epochs} measured epoch{'s' * (epochs != 1)} read."
    )


def _compare(finding: Finding, where: str, records: Sequence[AttackRecord], result: Mapping[str, float]) -> None:
    count = result.get("num_examples", math.nan)
    if math.isfinite(count) and len(records) != count:
        finding.flags.append(f"{where}: {len(records):,} records for {count:,.0f} examples.")
        return
    until = ConfidenceSequence.of_result(result)
    summary = AttackSummary.from_records(records, until=until, num_rows=int(result["num_rows"]) if until else None)
    _report_mismatch(finding, where, result, summary.history())


def _report_mismatch(finding: Finding, where: str, history: Mapping[str, Any], records: Mapping[str, Any]) -> None:
    """Flag the rates of the history that differ from those computed from the records."""
    keys = [key for key, value in records.items() if key in history and not _close(history[key], value)]
    keys = [key for key in keys if key not in _NOT_RATES]
    if keys:
        rates = ", ".join(f"{key} {history[key]:.4g} (records: {records[key]:.4g})" for key in keys)
        finding.flags.append(f"{where}: the history differs from the records: {rates}.")
        finding.numbers.append({"where": where, **{key: [history[key], records[key]] for key in keys}})


def _close(first: Any, second: Any) -> bool:
    if not isinstance(first, (int, float)) or not isinstance(second, (int, float)):
        return bool(first == second)
    return (math.isnan(first) and math.isnan(second)) or abs(first - second) <= CLOSE


def _union(
    finding: Finding,
    card: Mapping[str, Any],
    records_of: Mapping[str, Sequence[AttackRecord]],
    line: Mapping[str, Any],
    where: str,
) -> None:
    described = card.get("attacks") or {}
    parts = {name: described.get(name) or {} for name in records_of}
    searched = {name: records_of[name] for name, one in parts.items() if not (is_static(one) or is_control(one))}
    stopped = [ConfidenceSequence.of_result(result) for result in line["attacks"].values()]
    union = union_of_attacks(searched, next(filter(None, stopped), None))
    stated = line.get("union")
    if union is None or not stated or set(union.attacks) != set(stated["attacks"]):
        return
    computed = {key: value for key, value in union.history().items() if key != "attacks"}
    _report_mismatch(finding, f"{where}, union", stated, computed)


def _statuses(finding: Finding, folder: Folder) -> None:
    """Compare with ``statuses.json``, which holds one letter for each example."""
    attacks = [attack for attack in folder.attacks if attack.statuses]
    for attack in attacks:
        where = f"{folder.run.path.name}, {attack.name}"
        count = attack.result.get("num_examples", math.nan)
        if math.isfinite(count) and len(attack.statuses) != count:
            finding.flags.append(f"{where}: {len(attack.statuses):,} statuses for {count:,.0f} examples.")
            continue
        _report_mismatch(finding, where, attack.result, _rates(attack))
    if attacks:
        total = sum(len(attack.statuses) for attack in attacks)
        finding.observations.append(f"{folder.run.path.name}: {total:,} statuses read.")
    else:
        finding.missing.append(f"{folder.run.path.name}: the folder has no records of its examples.")


def _rates(attack: MeasuredAttack) -> dict[str, float]:
    letters = [STATUS_LETTERS[status] for status in attack.statuses.values()]
    succeeded, failed = letters.count("s"), letters.count("f")
    attacked = succeeded + failed
    if attack.result.get("covered") == 0:
        return {"num_attacked": attacked}  # an attack that could change no text has no rates
    return {
        "asr": ratio(succeeded, attacked),
        "robust_accuracy": ratio(failed, len(letters)),
        "num_attacked": attacked,
    }


def _orphans(finding: Finding, folder: Folder) -> None:
    """Flag records of an epoch without a line in the history: the run died between the two."""
    if not folder.trained:
        return
    in_history = {f"epoch-{line['epoch']:g}" for line in folder.run.history}
    on_disk = {path.name for path in (folder.run.path / RESULTS_FOLDER).glob("epoch-*")}
    for name in sorted(on_disk - in_history):
        finding.flags.append(f"{folder.run.path.name}: the history has no line for {RESULTS_FOLDER}/{name}.")
