"""Journal of finished examples, from which a killed measurement resumes."""

from __future__ import annotations

import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from hf_robust.runs.json_files import each_json_line

FLUSH_SECONDS = 1.0
_SHARE = re.compile(r"(?P<key>.+?)(?:-\d+-of-(?P<ranks>\d+))?\.jsonl")


class ExampleRecord(Protocol):
    """The result of one example, one line of a journal."""

    @property
    def idx(self) -> int: ...

    def to_json(self) -> dict[str, Any]: ...


Record = TypeVar("Record", bound=ExampleRecord)


class LineJournal(Generic[Record]):
    """JSON lines: a record for each finished example, and ``{"seconds": x}`` for the time between two flushes.

    An incomplete last line is removed before the first write.

    Each rank writes its own file, ``<key>-<rank>-of-<ranks>.jsonl`` (``share_path``), and reads the files of all
    ranks, also those of a run with another number of ranks.

    Args:
        path: the file; None disables the journal.
        read: function that makes a record from a line.
    """

    def __init__(self, path: Path | None, read: Callable[[Mapping[str, Any]], Record]) -> None:
        self.path, self._from_line = path, read
        self._pending: list[Record] = []
        self._flushed = time.perf_counter()

    def earlier(self) -> Iterator[Record]:
        """Read the records that are in the files, one for each ``idx``; that of this rank's file if there are more."""
        seen: set[int] = set()
        for file, _ in reversed(shares_of(self.path)):
            # Another rank may be writing to its file now.
            for line in each_json_line(file, warn=file == self.path):
                if "idx" in line and line["idx"] not in seen:
                    seen.add(line["idx"])
                    yield self._from_line(line)

    def __enter__(self) -> LineJournal[Record]:
        self._flushed = time.perf_counter()
        if self.path is not None and self.path.exists():
            end_at_a_line(self.path)
        return self

    def add(self, record: Record) -> None:
        """Add a finished example; it is written after at most FLUSH_SECONDS if ``tick`` is called often enough."""
        self._pending.append(record)
        self.tick()

    def tick(self) -> None:
        """Write pending records after FLUSH_SECONDS: the process may be killed before the next example ends."""
        if self._pending and time.perf_counter() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the pending records and the time since the last flush."""
        now = time.perf_counter()
        seconds, self._flushed = now - self._flushed, now
        pending, self._pending = self._pending, []
        if self.path is None or not pending:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [*(record.to_json() for record in pending), {"seconds": round(seconds, 3)}]
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()


def journal_seconds(path: Path) -> float:
    """Measuring time in a journal in seconds, over all runs; 0 if there is no journal."""
    seconds: dict[str, float] = {}
    for file, ranks in shares_of(path):
        spent = sum(map(_seconds, each_json_line(file, warn=file == path)))
        seconds[ranks] = max(seconds.get(ranks, 0.0), spent)
    return sum(seconds.values())


def share_path(folder: Path, key: str, rank: int, ranks: int) -> Path:
    """Path of the journal of one rank."""
    return folder / f"{key}-{rank}-of-{ranks}.jsonl"


def _seconds(line: Mapping[str, Any]) -> float:
    """The time that a line of a journal holds; 0 for a record."""
    return 0.0 if "idx" in line else float(line.get("seconds", 0.0))


def end_at_a_line(path: Path) -> None:
    """Remove an incomplete last line of a file, or end a complete one."""
    with path.open("r+b") as file:
        last = b"".join(deque(file, maxlen=1))
        end = file.seek(0, os.SEEK_END)
        if not last or last.endswith(b"\n"):
            return
        try:
            json.loads(last)
        except ValueError:
            file.truncate(end - len(last))
        else:
            file.write(b"\n")


def shares_of(path: Path | None) -> list[tuple[Path, str]]:
    """Files of all ranks, each with its number of ranks; the file of this rank comes last.

    A file ``<key>.jsonl``, without a rank, is one of them.
    """
    if path is None:
        return []
    match = _SHARE.fullmatch(path.name)
    if match is None or not path.parent.is_dir():
        return [(path, "")] if path.exists() else []
    shares = [(file, _SHARE.fullmatch(file.name)) for file in sorted(path.parent.iterdir())]
    family = [(file, share["ranks"] or "") for file, share in shares if share and share["key"] == match["key"]]
    return sorted(family, key=lambda entry: entry[0] == path)
