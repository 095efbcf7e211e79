"""A file of finished examples, so that a measurement that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from hf_robust.attacks.attack import Attack, Example
from hf_robust.metrics import AttackRecord
from hf_robust.metrics.records import read_json_lines

FLUSH_SECONDS = 1.0


class Journal:
    """JSON lines: a record for each finished example, and ``{"seconds": x}`` for the time between two flushes.

    The last line may have been cut off; it is removed before more is written. ``path`` None keeps nothing.

    Attributes:
        records: what the file held when it was opened, by ``idx``.
        seconds: time spent so far, earlier runs included.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.records: dict[int, AttackRecord] = {}
        self.seconds = 0.0
        self._pending: list[AttackRecord] = []
        self._flushed = time.perf_counter()
        if path is not None and path.exists():
            for line in read_json_lines(path):
                if "idx" in line:
                    self.records[line["idx"]] = AttackRecord.from_json(line)
                else:
                    self.seconds += float(line.get("seconds", 0.0))

    def finished(self, examples: Sequence[Example]) -> list[AttackRecord]:
        """The records of those examples that were measured before.

        Raises:
            ValueError: a record under the ``idx`` of an example is of another text or label.
        """
        found = []
        for example in examples:
            record = self.records.get(example.idx)
            if record is None:
                continue
            if (record.original, record.label) != (list(example.texts), example.label):
                raise ValueError(
                    f"{self.path} holds another text or label for example {example.idx}; "
                    "give each set of examples a journal of its own (attack_key names one)."
                )
            found.append(record)
        return found

    def __enter__(self) -> Journal:
        self._flushed = time.perf_counter()
        if self.path is not None and self.path.exists():
            _end_at_a_line(self.path)
        return self

    def add(self, record: AttackRecord) -> None:
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
    return Journal(path).seconds


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


def attack_key(attack: Attack, weights: str, examples: Sequence[Example], max_length: int | None) -> str:
    """24 hexadecimal characters that name a measurement: attack, model weights, examples, truncation."""
    content = json.dumps([attack.fingerprint(), weights, max_length, list(examples)])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()
