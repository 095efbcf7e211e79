"""Result of one check, and the results of all checks as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.runs import finite

OK, FLAGGED, NOT_CHECKED = "ok", "flagged", "not checked"


@dataclass
class Finding:
    """Result of one check of a run.

    Attributes:
        check: name of the check.
        title: what the check is about, in a few words.
        flags: sentences on numbers that should not be believed, each with its N.
        observations: sentences on everything else that the check read.
        missing: sentences on what could not be checked, and why.
        commands: full command lines to run next.
        advice: what to do next where no command line can be given.
        numbers: the compared numbers, for programs.
    """

    check: str
    title: str
    flags: list[str] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    numbers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """``flagged`` with at least one flag, ``ok`` with at least one observation, else ``not checked``."""
        if self.flags:
            return FLAGGED
        return OK if self.observations else NOT_CHECKED

    def suggest(self, *commands: str) -> None:
        """Add command lines that are not in the list yet."""
        self.commands += [command for command in commands if command not in self.commands]


def findings_text(evidence: Evidence, findings: Sequence[Finding]) -> str:
    """Markdown list of the checks, each with its sentences and the next steps below it."""
    statuses = [finding.status for finding in findings]
    lines = [
        f"# {evidence.run.path}: {statuses.count(FLAGGED)} of {len(findings)} checks flagged, "
        f"{statuses.count(NOT_CHECKED)} not checked",
        "",
    ]
    for finding in findings:
        lines.append(f"- **{finding.status}** {finding.title}")
        lines += [f"  - flagged: {sentence}" for sentence in finding.flags]
        lines += [f"  - {sentence}" for sentence in finding.observations]
        lines += [f"  - not checked: {sentence}" for sentence in finding.missing]
        lines += [f"  - next: `{command}`" for command in finding.commands]
        lines += [f"  - next: {sentence}" for sentence in finding.advice]
    return "\n".join(lines) + "\n"


def findings_json(evidence: Evidence, findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as a JSON-ready dict."""
    checks = [
        {
            "check": finding.check,
            "title": finding.title,
            "status": finding.status,
            "flags": finding.flags,
            "seen": finding.observations,
            "missing": finding.missing,
            "commands": finding.commands,
            "advice": finding.advice,
            "numbers": finding.numbers,
        }
        for finding in findings
    ]
    report: dict[str, Any] = finite(
        {
            "run": str(evidence.run.path),
            "with": [str(one.run.path) for one in evidence.others],
            "baseline": None if evidence.baseline is None else str(evidence.baseline.run.path),
            "flagged": sum(finding.status == FLAGGED for finding in findings),
            "checks": checks,
        }
    )
    return report
