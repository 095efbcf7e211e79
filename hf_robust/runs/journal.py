"""A file of finished examples, so that a measurement that was killed goes on where it stopped."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from hf_robust.runs.json_files import read_json_lines

FLUSH_SECONDS = 1.0
_SHARE = re.compile(r"(?P<key>.+)-(?P<rank>\d+)-of-(?P<ranks>\d+)\.jsonl")


class ExampleRecord(Protocol):
    """The result of one example: what a line of a journal is made of."""

    @property
    def idx(self) -> int: ...

    def to_json(self) -> dict[str, Any]: ...


Record = TypeVar("Record", bound=ExampleRecord)


class LineJournal(Generic[Record]):
    """JSON lines: a record for each finished example, and ``{"seconds": x}`` for the time between two flushes.

    The last line may have been cut off; it is removed before more is written. ``path`` None keeps nothing.

    A rank's file is named ``<key>-<rank>-of-<ranks>.jsonl`` (``share_path``). It writes to that file alone and reads
    the files of all ranks, also those of a run with another number of ranks, whose shares were others.

    Args:
        path: the file.
        read: makes a record of a line.

    Attributes:
        records: what the files held when it was opened, by ``idx``.
        seconds: time spent so far, earlier runs included; of ranks that worked side by side the longest time.
    """

    def __init__(self, path: Path | None, read: Callable[[Mapping[str, Any]], Record]) -> None:
        self.path = path
        self.records: dict[int, Record] = {}
        self.seconds = 0.0
        self._pending: list[Record] = []
        self._flushed = time.perf_counter()
        spent: dict[str, float] = {}
        for file, ranks in _family(path):
            # Another rank may be writing to its file at this moment.
            lines = read_json_lines(file, warn=file == path)
            self.records |= {line["idx"]: read(line) for line in lines if "idx" in line}
            spent[ranks] = max(spent.get(ranks, 0.0), _seconds(lines))
        self.seconds = sum(spent.values())

    def __enter__(self) -> LineJournal[Record]:
        self._flushed = time.perf_counter()
        if self.path is not None and self.path.exists():
            _end_at_a_line(self.path)
        return self

    def add(self, record: Record) -> None:
        """Take a finished example; it is written within a second or so, if ``tick`` is called as often."""
        self._pending.append(record)
        self.tick()

    def tick(self) -> None:
        """Write what has waited for a second: the next example may take minutes, and the process may be killed."""
        if self._pending and time.perf_counter() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending, and the time since the last flush."""
        now = time.perf_counter()
        spent, self._flushed = now - self._flushed, now
        self.seconds += spent
        pending, self._pending = self._pending, []
        if self.path is None or not pending:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [*(record.to_json() for record in pending), {"seconds": round(spent, 3)}]
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()


def journal_seconds(path: Path) -> float:
    """Seconds that measuring what a journal holds has taken, over all runs; 0 where there is none."""
    spent: dict[str, float] = {}
    for file, ranks in _family(path):
        spent[ranks] = max(spent.get(ranks, 0.0), _seconds(read_json_lines(file, warn=file == path)))
    return sum(spent.values())


def share_path(folder: Path, key: str, rank: int, ranks: int) -> Path:
    """The journal of one rank's share of a measurement."""
    return folder / f"{key}-{rank}-of-{ranks}.jsonl"


def _seconds(lines: list[dict[str, Any]]) -> float:
    return sum(float(line.get("seconds", 0.0)) for line in lines if "idx" not in line)


def _end_at_a_line(path: Path) -> None:
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        kept = content[: content.rfind(b"\n") + 1]
        try:
            json.loads(content[len(kept) :])
        except ValueError:
            path.write_bytes(kept)
        else:
            path.write_bytes(content + b"\n")


def _family(path: Path | None) -> list[tuple[Path, str]]:
    """The files to read and the number of ranks that wrote each; the journal's own comes last."""
    if path is None:
        return []
    found = [(path, "")] if path.exists() else []
    own = _SHARE.fullmatch(path.name)
    if own is None or not path.parent.is_dir():
        return found
    shares = [(file, _SHARE.fullmatch(file.name)) for file in sorted(path.parent.iterdir())]
    family = [(file, share["ranks"]) for file, share in shares if share is not None and share["key"] == own["key"]]
    return sorted(family, key=lambda one: one[0] == path)
