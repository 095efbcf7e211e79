"""``SharedAnswers``: scores that one attack asked for, kept for the attacks after it on the same classifier."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from hf_robust.attacks.engine.requests import Floats

logger = logging.getLogger(__name__)

MOST_ANSWERS = 1 << 17
"""Number of answers kept, about 30 MB for a few classes."""


class SharedAnswers:
    """A row of scores for each key, kept while the block of ``kept`` runs; without one nothing is kept.

    Attacks on the same examples ask for many equal texts: the clean text, each word deleted, each word unknown. A
    classifier answers these once. Attacks take the examples in the same order, so once ``MOST_ANSWERS`` are kept, no
    further ones are: to replace the oldest would lose each answer just before it is wanted again.

    Attributes:
        recalled: number of rows that were returned so far, each of them a pass of the classifier saved.
    """

    def __init__(self) -> None:
        self.recalled = 0
        self._rows: dict[bytes, bytes] | None = None
        self._type = np.dtype(np.float32)

    @contextmanager
    def kept(self, several: bool = True) -> Iterator[None]:
        """Context in which answers are kept; the classifier must not change in it. An inner context keeps on.

        ``several`` is whether more than one attack asks in it; for one alone nothing is kept.
        """
        if self._rows is not None or not several:
            yield
            return
        self._rows, before = {}, self.recalled
        try:
            yield
        finally:
            self._rows = None
            if self.recalled > before:
                logger.info("%d queries had the answer to an earlier attack's.", self.recalled - before)

    def __contains__(self, key: bytes) -> bool:
        return self._rows is not None and key in self._rows

    def recall(self, keys: Sequence[bytes]) -> Floats:
        """The rows [n, K] of keys that are kept."""
        assert self._rows is not None
        self.recalled += len(keys)
        stored = b"".join(self._rows[key] for key in keys)
        return np.frombuffer(bytearray(stored), self._type).reshape(len(keys), -1)

    def keep(self, keys: Sequence[bytes], rows: Floats) -> None:
        """Keep the rows [n, K] of these keys, as far as there is room."""
        if self._rows is not None:
            self._type = rows.dtype
            room = MOST_ANSWERS - len(self._rows)
            self._rows.update((key, row.tobytes()) for key, row in zip(keys[:room], rows[:room], strict=True))
