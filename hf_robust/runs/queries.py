"""``KeptQueries``: every text that an attack had scored, with its probabilities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hf_robust.runs.file_list import FileList
from hf_robust.runs.journal import end_at_a_line, shares_of
from hf_robust.runs.json_files import each_json_line


class KeptQueries:
    """JSON lines of scored texts, each ``{"idx": ..., "texts": [...], "probabilities": [...]}``.

    A text that an example asks for again is answered from memory and has no second line. Lines are added to the file:
    those of a killed run, whose example starts anew, stay; ``read_queries`` reads them once.

    Args:
        path: the file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            end_at_a_line(path)

    def add(
        self, ids: Iterable[int], texts: Iterable[tuple[str, ...]], probabilities: Iterable[Sequence[float]]
    ) -> None:
        """Add scored texts with the ``idx`` of their examples and their class probabilities [n, K]."""
        if self.path is None:
            return
        with self.path.open("a", encoding="utf-8") as file:
            for idx, columns, row in zip(ids, texts, probabilities, strict=True):
                line = {"idx": idx, "texts": columns, "probabilities": [round(float(value), 6) for value in row]}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_queries(path: Path) -> Sequence[dict[str, Any]]:
    """Return the lines of all ranks, sorted by example, those of one example in the order of its search.

    So they are the same for any number of ranks, and for a run that was killed and continued.

    Args:
        path: the file of one rank.
    """
    lines, seen = FileList[dict[str, Any]](), set[bytes]()
    for file, _ in shares_of(path):
        for line in each_json_line(file):
            content = json.dumps([line["idx"], line["texts"]])
            key = hashlib.blake2b(content.encode(), digest_size=16).digest()  # the texts of all queries are long
            if key not in seen:
                seen.add(key)
                lines.append(line)
    lines.sort(key=lambda line: int(line["idx"]))
    return lines
