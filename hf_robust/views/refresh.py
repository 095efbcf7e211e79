"""Schedule of the rounds in which views are generated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refresh:
    """A first round before epoch ``first`` (epochs count from 0), then one round every ``every`` epochs.

    With ``every`` None there is one round; ``rounds`` limits their number. Views that are drawn at each fetch
    (:class:`RandomSynonyms`) need no schedule.

    >>> [epoch for epoch in range(9) if Refresh(first=2, every=3).due(epoch)]
    [2, 5, 8]
    >>> [Refresh(first=2, every=3, rounds=2).newest(epoch) for epoch in (1, 2, 4, 5, 8)]
    [None, 0, 0, 1, 1]
    """

    first: int = 0
    every: int | None = None
    rounds: int | None = None

    def newest(self, epoch: int) -> int | None:
        """Number, from 0, of the round whose views epoch ``epoch`` trains on; None before the first round."""
        if epoch < self.first or self.rounds == 0:
            return None
        done = 0 if self.every is None else (epoch - self.first) // self.every
        return done if self.rounds is None else min(done, self.rounds - 1)

    def due(self, epoch: int) -> bool:
        """Whether a round is generated before epoch ``epoch``."""
        return self.begins(epoch) or self.newest(epoch) != self.newest(epoch - 1)

    def begins(self, epoch: int) -> bool:
        """Whether the first round is generated before epoch ``epoch``."""
        return epoch == self.first and self.newest(epoch) is not None
