"""Context in which a round of views is generated: the rank of the process, the journal folder, the shared plans."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hf_robust.attacks import Plans


@dataclass
class GenerationContext:
    """Settings of a process for a view maker, besides the victim and the examples.

    Args:
        journals: folder of the journals, from which a round continues after a crash.
        rank, ranks: number of this process, and number of processes.
        plans: the plans of the attacks, shared by all rounds.
        progress: whether to show a progress bar (on one rank).
    """

    journals: Path
    rank: int = 0
    ranks: int = 1
    plans: Plans = field(default_factory=Plans)
    progress: bool = False
