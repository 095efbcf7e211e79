"""Training rows that are read, checked and tokenised while a model trains, and are never all in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from torch.utils.data import IterableDataset

from hf_robust.data.columns import without_columns
from hf_robust.data.dataset import CHUNK, TextDataset
from hf_robust.data.files import Rows

SHUFFLED_ROWS = 10_000
"""Number of rows in memory among which the next row is drawn, and of neighbouring rows that change places."""


@dataclass(frozen=True)
class RowStream:
    """The rows of a split in a ``datasets.IterableDataset``, and the first ``CHUNK`` of them in memory."""

    rows: Any
    head: Rows
    has_text_labels: bool = False
    """Whether the labels of ``rows`` are text of a csv file."""

    @classmethod
    def of(cls, parts: Sequence[Any], dropped: Sequence[str], where: str) -> RowStream:
        """Join streams, and read the first rows without the columns ``dropped``.

        Raises:
            ValueError: there is no row; ``where`` names the source.
        """
        from datasets import concatenate_datasets

        rows = concatenate_datasets(list(parts)) if len(parts) > 1 else parts[0]
        head = list(rows.take(CHUNK))
        if not head:
            raise ValueError(f"the train split ({where}) is empty: give at least one row.")
        return cls(rows, without_columns(head, dropped))


class TextStream(IterableDataset[dict[str, Any]]):
    """The inputs of a model for the rows of a stream, pass after pass without end; the Trainer stops at ``max_steps``.

    Each pass has its own order, which ``seed`` determines, so that a run that is resumed reads the same rows.

    Args:
        rows: a ``datasets.IterableDataset``.
        encode: makes a data set of some rows, which may leave rows out; its second argument names them in errors.
        head: the first rows of the stream, for what needs a sample of the texts.
        seed: seed of the order: each row is drawn from ``SHUFFLED_ROWS`` rows that were read, and so is the order of
            the files of a set. None for the order of the source.

    Raises:
        ValueError: while it is iterated, by ``encode``, or if a pass has no row.
    """

    def __init__(
        self, rows: Any, encode: Callable[[Rows, str], TextDataset | None], head: TextDataset, seed: int | None
    ) -> None:
        self.rows = rows if seed is None else rows.shuffle(seed=seed, buffer_size=SHUFFLED_ROWS)
        self.encode, self.head, self.seed = encode, head, seed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number in count():
            self.rows.set_epoch(number)
            is_empty = True
            for dataset in self._datasets():
                is_empty = False
                yield from (dataset[row] for row in range(len(dataset)))
            if is_empty:
                raise ValueError(f"no row of {self.head.name} has a label: give at least one that has.")

    def _datasets(self) -> Iterator[TextDataset]:
        rows = iter(self.rows)
        for start in count(0, CHUNK):
            chunk = list(islice(rows, CHUNK))
            if not chunk:
                return
            place = f"{self.head.name}, among rows {start:,} to {start + len(chunk) - 1:,} as read,"
            dataset = self.encode(chunk, place)
            if dataset is not None:
                yield dataset

    def fingerprint(self) -> str:
        """Return a hash of the first rows, 16 hex characters, other than that of a data set of these rows."""
        return hashlib.sha256(f"streamed {self.head.fingerprint()}".encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Describe the order for the run card."""
        return {"shuffled_rows": 0 if self.seed is None else SHUFFLED_ROWS}
