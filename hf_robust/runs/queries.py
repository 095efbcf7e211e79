"""``KeptQueries``: every text that an attack had scored, with its probabilities."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path


class KeptQueries:
    """JSON lines of scored texts in their order, each ``{"texts": [...], "probabilities": [...]}``.

    A text that an example asks for again is answered from memory and has no second line. Lines are added to the file:
    those of a killed run, whose example starts anew, stay.

    Args:
        path: the file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def add(self, texts: Iterable[tuple[str, ...]], probabilities: Iterable[Sequence[float]]) -> None:
        """Add scored texts with their class probabilities [n, K]."""
        if self.path is None:
            return
        with self.path.open("a", encoding="utf-8") as file:
            for columns, row in zip(texts, probabilities, strict=True):
                line = {"texts": columns, "probabilities": [round(float(value), 6) for value in row]}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
