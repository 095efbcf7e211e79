"""What one check found.

Findings as text for people and as JSON for programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.runs import finite

OK, FLAGGED, NOT_CHECKED = "ok", "flagged", "not checked"


@dataclass
class Finding:
    """The answer to one question about a run.

    Attributes:
        check: the question's short name.
        title: what was looked at.
        flags: what should not be believed, a sentence with numbers and N each.
        seen: what else was seen, sentence by sentence.
        missing: why something could not be looked at.
        commands: what to run next, as full command lines.
        advice: what to do next where no command line can be given.
        numbers: what was compared, for programs.
    """

    check: str
    title: str
    flags: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    numbers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """``flagged`` where anything is, ``ok`` where something was looked at, else ``not checked``."""
        if self.flags:
            return FLAGGED
        return OK if self.seen else NOT_CHECKED

    def suggest(self, *commands: str) -> None:
        """Add command lines, each once."""
        self.commands += [command for command in commands if command not in self.commands]


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
