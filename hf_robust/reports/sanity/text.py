"""Findings as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import FLAGGED, NOT_CHECKED, Finding
from hf_robust.runs import finite


def findings_text(evidence: Evidence, findings: Sequence[Finding]) -> str:
    """One line for each check, below it what was seen and what to run next."""
    statuses = [finding.status for finding in findings]
    lines = [
        f"# {evidence.run.path}: {statuses.count(FLAGGED)} of {len(findings)} checks flagged, "
        f"{statuses.count(NOT_CHECKED)} not checked",
        "",
    ]
    for finding in findings:
        lines.append(f"- **{finding.status}** {finding.title}")
        lines += [f"  - flagged: {said}" for said in finding.flags]
        lines += [f"  - {said}" for said in finding.seen]
        lines += [f"  - not seen: {said}" for said in finding.missing]
        lines += [f"  - next: `{command}`" for command in finding.commands]
        lines += [f"  - next: {said}" for said in finding.advice]
    return "\n".join(lines) + "\n"


def findings_json(evidence: Evidence, findings: Sequence[Finding]) -> dict[str, Any]:
    """The same, JSON-ready."""
    checks = [
        {
            "check": finding.check,
            "title": finding.title,
            "status": finding.status,
            "flags": finding.flags,
            "seen": finding.seen,
            "missing": finding.missing,
            "commands": finding.commands,
            "advice": finding.advice,
            "numbers": finding.numbers,
        }
        for finding in findings
    ]
    found: dict[str, Any] = finite(
        {
            "run": str(evidence.run.path),
            "with": [str(one.run.path) for one in evidence.others],
            "baseline": None if evidence.baseline is None else str(evidence.baseline.run.path),
            "flagged": sum(finding.status == FLAGGED for finding in findings),
            "checks": checks,
        }
    )
    return found
