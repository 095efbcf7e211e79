"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
