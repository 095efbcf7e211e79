"""Sentence similarity as a constraint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Consult, Steps
from hf_robust.attacks.parts.constraints import Constraint
from hf_robust.words import Text

METRICS = ("angular", "cosine")
REFERENCES = ("previous", "original")


class Encoder(Protocol):
    """Returns unit-length sentence embeddings; ``name`` is for result files, ``fingerprint`` for keys."""

    @property
    def name(self) -> str: ...

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]: ...

    def fingerprint(self) -> str: ...


def window(length: int, index: int, size: int) -> tuple[int, int]:
    """First and last of the ``size`` words around word ``index`` of ``length``, with TextAttack's rounding."""
    half = (size - 1) / 2
    if index - half < 0:
        return 0, min(size, length) - 1
    if index + half >= length:
        return max(0, length - size), length - 1
    return index - int(np.ceil(half)), index + int(np.floor(half))


def window_parts(text: Text, index: int, size: int | None) -> tuple[str, str]:
    """The characters before and after word ``index`` in its window, columns joined by a line break.

    ``size`` None is a window from the first to the last word, as in TextAttack: punctuation at the ends is left out.
    """
    starts = np.cumsum([0, *(len(column) + 1 for column in text.columns)])
    joined, word = text.joined, text.words[index]
    edges = (0, len(text.words) - 1) if size is None else window(len(text.words), index, size)
    first, last = (text.words[edge] for edge in edges)
    start, end = int(starts[first.column]) + first.start, int(starts[last.column]) + last.end
    offset = int(starts[word.column])
    return joined[start : offset + word.start], joined[offset + word.end : end]


@dataclass(frozen=True)
class SentenceSimilarity(Constraint):
    """The window around a swapped word has at least similarity ``minimum`` to the window of the reference.

    ``angular`` is ``1 - arccos(cosine) / pi``. The reference is the text before this swap (``previous``) or the
    ``original``. With ``skip_short``, texts of fewer words than ``window_size`` pass with similarity 1.
    """

    encoder: Encoder
    minimum: float = 0.840845057
    metric: str = "angular"
    reference: str = "previous"
    window_size: int | None = 15
    skip_short: bool = True

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {self.metric!r}.")
        if self.reference not in REFERENCES:
            raise ValueError(f"reference must be one of {', '.join(REFERENCES)}, got {self.reference!r}.")
        if not 0 <= self.minimum <= 1:
            raise ValueError(f"--min_similarity must lie in [0, 1], got {self.minimum}.")

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        """The drafts that are similar enough; sets the ``similarity`` of every draft."""
        size = self.window_size
        windows: list[tuple[Draft, str, str]] = []
        around: dict[tuple[int, bool], tuple[str, str]] = {}
        for draft in drafts:
            draft.similarity = 1.0
            if self.skip_short and size is not None and _count_words(draft, current) < size:
                continue
            windows.append((draft, *self._windows(original, current, draft, around)))
        if windows:
            sentences = [sentence for _, *pair in windows for sentence in pair]
            embedded = yield Consult(self.encoder.encode, sentences)
            vectors = np.asarray(embedded, dtype=np.float64)
            cosine = np.clip((vectors[0::2] * vectors[1::2]).sum(-1), -1.0, 1.0)
            similarities = 1 - np.arccos(cosine) / np.pi if self.metric == "angular" else cosine
            for (draft, *_), value in zip(windows, similarities, strict=True):
                draft.similarity = float(value)
        return [draft for draft in drafts if draft.similarity is not None and draft.similarity >= self.minimum]

    def _windows(
        self, original: Draft, current: Draft, draft: Draft, around: dict[tuple[int, bool], tuple[str, str]]
    ) -> tuple[str, str]:
        """The windows of the reference and of the draft; ``around`` caches the characters around a word."""
        swapped = draft.last_modified or {index for index, new in draft.swaps.items() if new}
        index, size = next(iter(swapped), 0), self.window_size
        against = current if self.reference == "previous" else original
        where = min(index, len(against.text.words) - 1)
        before, after = _kept(around, (where, True), lambda: window_parts(against.text, where, size))
        reference = before + against.text.tokens[where] + after
        if draft.parent is current and len(draft.swaps) == 1 and draft.keeps_count:
            before, after = _kept(around, (index, False), lambda: window_parts(current.text, index, size))
            return reference, before + draft.swaps[index] + after
        if not draft.text.words:
            return reference, ""
        where = min(index, len(draft.text.words) - 1)
        before, after = window_parts(draft.text, where, size)
        return reference, before + draft.text.tokens[where] + after

    def to(self, device: Any) -> None:
        """Move the encoder."""
        if hasattr(self.encoder, "to"):
            self.encoder.to(device)

    def fingerprint(self) -> str:
        """The encoder's fingerprint."""
        return self.encoder.fingerprint()

    def describe(self) -> dict[str, Any]:
        return {
            "name": "sentence_similarity",
            "encoder": self.encoder.name,
            "minimum": self.minimum,
            "metric": self.metric,
            "reference": self.reference,
            "window_size": self.window_size,
            "skip_short": self.skip_short,
        }


def _count_words(draft: Draft, current: Draft) -> int:
    # Avoids splitting every candidate into words again, which would dominate the cost.
    if draft.parent is current and draft.keeps_count:
        return len(current.text.words)
    return len(draft.text.words)


def _kept(
    around: dict[tuple[int, bool], tuple[str, str]], key: tuple[int, bool], make: Callable[[], tuple[str, str]]
) -> tuple[str, str]:
    if key not in around:
        around[key] = make()
    return around[key]
