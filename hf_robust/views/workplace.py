"""Where a round of views is made: this process among its ranks, the folders it may use, the plans it shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hf_robust.attacks import Plans


@dataclass
class Workplace:
    """What a view maker is told beside the victim.

    Args:
        journals: folder for what a killed round goes on from.
        rank, ranks: this process, of how many.
        plans: what attacks keep between rounds.
        progress: show a bar (on one rank).
    """

    journals: Path
    rank: int = 0
    ranks: int = 1
    plans: Plans = field(default_factory=Plans)
    progress: bool = False
