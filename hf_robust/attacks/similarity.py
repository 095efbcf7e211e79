"""Sentence similarity as a constraint: the only one that depends on how far the search has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.requests import Embed, Floats, Steps
from hf_robust.words import Text

METRICS = ("angular", "cosine")
REFERENCES = ("previous", "original")


class Encoder(Protocol):
    """Unit-length sentence embeddings; ``name`` goes into result files (ATTACK-4), ``fingerprint`` into keys."""

    @property
    def name(self) -> str: ...

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]: ...

    def fingerprint(self) -> str: ...


def window(text: Text, index: int, size: int) -> tuple[int, int]:
    """First and last word of the ``size`` words around word ``index``, with TextAttack's rounding at the borders."""
    length, half = len(text.words), (size - 1) / 2
    if index - half < 0:
        return 0, min(size, length) - 1
    if index + half >= length:
        return max(0, length - size), length - 1
    return index - int(np.ceil(half)), index + int(np.floor(half))


def window_parts(text: Text, index: int, size: int | None) -> tuple[str, str]:
    """What stands before and after word ``index`` inside its window, columns joined by a line break.

    ``size`` None takes the whole text.
    """
    starts = np.cumsum([0, *(len(column) + 1 for column in text.columns)])
    joined, word = text.joined, text.words[index]
    first, last = 0, len(joined)
    if size is not None:
        left, right = (text.words[edge] for edge in window(text, index, size))
        first, last = int(starts[left.column]) + left.start, int(starts[right.column]) + right.end
    here = int(starts[word.column])
    return joined[first : here + word.start], joined[here + word.end : last]


@dataclass(frozen=True)
class SentenceSimilarity:
    """The encoded window around a swapped word stays at least ``minimum`` similar to the reference's.

    ``angular`` is ``1 - arccos(cosine) / pi``. The reference is the text before this swap (``previous``) or the
    ``original``. Texts of fewer words than ``window_size`` pass unseen where ``skip_short`` says so, as if equal.
    """

    encoder: Encoder
    minimum: float = 0.840845057
    metric: str = "angular"
    reference: str = "previous"
    window_size: int | None = 15
    skip_short: bool = True

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"a sentence similarity is one of {', '.join(METRICS)}, got {self.metric!r}.")
        if self.reference not in REFERENCES:
            raise ValueError(f"a sentence's reference is one of {', '.join(REFERENCES)}, got {self.reference!r}.")
        if not 0 <= self.minimum <= 1:
            raise ValueError(f"--min_similarity must lie in [0, 1], got {self.minimum}.")

    def of(self, original: Text, current: Text, index: int, substitutes: Sequence[str]) -> Steps[Floats]:
        """The similarity of each text in which word ``index`` of ``current`` is one of ``substitutes``."""
        size = self.window_size
        if self.skip_short and size is not None and len(current.words) < size:
            return np.ones(len(substitutes))
        against = current if self.reference == "previous" else original
        before, after = window_parts(against, index, size)
        reference = before + against.tokens[index] + after
        before, after = window_parts(current, index, size)
        embedded = yield Embed([reference, *(before + new + after for new in substitutes)])
        vectors = np.asarray(embedded, dtype=np.float64)
        cosine: Floats = np.clip(vectors[1:] @ vectors[0], -1.0, 1.0)
        return 1 - np.arccos(cosine) / np.pi if self.metric == "angular" else cosine

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
