"""Is the run whole, and do its rates follow from its records?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.metrics import AttackRecord, AttackSummary, union_of_attacks
from hf_robust.metrics.rates import ratio
from hf_robust.reports.aims import is_static
from hf_robust.reports.sanity.evidence import Evidence, Folder, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.runs import RESULTS_FOLDER, STATUS_LETTERS, history_path, is_torn, read_records

CLOSE = 1e-6
_NOT_RATES = ("seconds",)


def complete_run(evidence: Evidence) -> Finding:
    """Files cut short, a training that did not end, and rates that are not those of the records beside them."""
    finding = Finding("complete_run", "whole files, and rates that follow from the records")
    _files(finding, evidence)
    for folder in (evidence.main, *evidence.others):
        _history(finding, folder)
    for reason in evidence.stale:
        finding.flags.append(f"{reason}; it is left out here.")
    finding.seen += [f"{reason}; it is left out here." for reason in evidence.unrelated]
    return finding


def _files(finding: Finding, evidence: Evidence) -> None:
    run = evidence.run
    if history_path(run.path).is_file() and is_torn(history_path(run.path)):
        finding.flags.append("the last line of robustness_history.jsonl was cut off while it was written.")
    if not run.card:
        finding.flags.append("there is no run_card.json, so that nobody knows what was measured with what.")
    elif evidence.main.trained:
        if not run.ended:
            finding.flags.append("training has not ended: its run card has no final_step.")
            finding.advice.append("resume it with --resume_from_checkpoint, or train again.")
        elif not run.measured_exactly:
            finding.flags.append(
                f"the weights kept (step {run.kept_step}) were not attacked themselves; the numbers are of step "
                f"{run.published['step']:.0f}."
            )
        else:
            finding.seen.append(f"the weights of step {run.kept_step} are those that were attacked.")


def _history(finding: Finding, folder: Folder) -> None:
    run = folder.run
    if not (run.path / RESULTS_FOLDER).is_dir():
        _statuses(finding, folder)
        return
    checked = 0
    for line in run.history:
        found = {}
        for name, result in line["attacks"].items():
            file = run.records_file(line, name)
            where = f"{run.path.name}, epoch {line['epoch']:g}, {name}"
            if not file.is_file():
                finding.flags.append(f"{where}: its records are gone ({RESULTS_FOLDER}).")
                continue
            found[name] = read_records(file)
            _compare(finding, where, found[name], result)
            checked += len(found[name])
        _union(finding, run.card, found, line, f"{run.path.name}, epoch {line['epoch']:g}")
    _orphans(finding, folder)
    epochs = len(run.history)
    finding.seen.append(f"{run.path.name}: {checked:,} records of {epochs} measured epoch{'s' * (epochs != 1)} read.")


def _compare(finding: Finding, where: str, records: Sequence[AttackRecord], result: Mapping[str, float]) -> None:
    count = result.get("num_examples", math.nan)
    if math.isfinite(count) and len(records) != count:
        finding.flags.append(f"{where}: {len(records):,} records where {count:,.0f} examples were attacked.")
        return
    _say_apart(finding, where, result, AttackSummary.from_records(records).history())


def _say_apart(finding: Finding, where: str, stated: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    apart = [key for key, value in right.items() if key in stated and not _close(stated[key], value)]
    apart = [key for key in apart if key not in _NOT_RATES]
    if apart:
        said = ", ".join(f"{key} {stated[key]:.4g} (records: {right[key]:.4g})" for key in apart)
        finding.flags.append(f"{where}: the history does not say what the records say: {said}.")
        finding.numbers.append({"where": where, **{key: [stated[key], right[key]] for key in apart}})


def _close(stated: Any, right: Any) -> bool:
    if not isinstance(stated, (int, float)) or not isinstance(right, (int, float)):
        return bool(stated == right)
    return (math.isnan(stated) and math.isnan(right)) or abs(stated - right) <= CLOSE


def _union(
    finding: Finding,
    card: Mapping[str, Any],
    found: Mapping[str, Sequence[AttackRecord]],
    line: Mapping[str, Any],
    where: str,
) -> None:
    described = card.get("attacks") or {}
    searched = {name: records for name, records in found.items() if not is_static(described.get(name) or {})}
    union = union_of_attacks(searched)
    stated = line.get("union")
    if union is None or not stated or set(union.attacks) != set(stated["attacks"]):
        return
    right = {key: value for key, value in union.history().items() if key != "attacks"}
    _say_apart(finding, f"{where}, union", stated, right)


def _statuses(finding: Finding, folder: Folder) -> None:
    """What is kept under ``benchmarks/results``: a letter an example, of the last epoch."""
    kept = [one for one in folder.attacks if one.statuses]
    for one in kept:
        where = f"{folder.run.path.name}, {one.name}"
        count = one.result.get("num_examples", math.nan)
        if math.isfinite(count) and len(one.statuses) != count:
            finding.flags.append(f"{where}: {len(one.statuses):,} statuses where {count:,.0f} examples were attacked.")
            continue
        _say_apart(finding, where, one.result, _rates(one))
    if kept:
        finding.seen.append(f"{folder.run.path.name}: {sum(len(one.statuses) for one in kept):,} statuses read.")
    else:
        finding.missing.append(f"{folder.run.path.name}: the records of its examples were not kept.")


def _rates(one: MeasuredAttack) -> dict[str, float]:
    seen = [STATUS_LETTERS[status] for status in one.statuses.values()]
    won, lost = seen.count("s"), seen.count("f")
    if one.result.get("covered") == 0:
        return {"num_attacked": won + lost}  # rates of an attack that could change nothing do not exist
    return {"asr": ratio(won, won + lost), "robust_accuracy": ratio(lost, len(seen)), "num_attacked": won + lost}


def _orphans(finding: Finding, folder: Folder) -> None:
    """Records of an epoch that the history does not know: the run ended between the two."""
    if not folder.trained:
        return
    known = {f"epoch-{line['epoch']:g}" for line in folder.run.history}
    there = {path.name for path in (folder.run.path / RESULTS_FOLDER).glob("epoch-*")}
    for name in sorted(there - known):
        finding.flags.append(f"{folder.run.path.name}: the history has no line for {RESULTS_FOLDER}/{name}.")
