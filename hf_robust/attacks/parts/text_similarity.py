"""Similarity of whole texts, as a constraint and for searches that raise it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Consult, Steps
from hf_robust.attacks.parts.constraints import Constraint
from hf_robust.attacks.parts.similarity import Encoder
from hf_robust.words import Text

PIECE = 64
"""Number of words that are embedded at a time, since an encoder reads a limited number of tokens (128)."""
_DIGITS = 5
"""Similarities are rounded, so that the noise of batching decides nothing."""


@dataclass(frozen=True)
class TextSimilarity(Constraint):
    r"""A text has at least the similarity ``minimum`` to the original; with 0 every text passes and none is measured.

    .. math:: S(x, x') = 1 - \arccos(\cos(E(x), E(x'))) / \pi, \quad E(x) = \sum_i n_i\, e(x_i)

    in [0, 1]. A text of more than 64 words is embedded in pieces :math:`x_i` of :math:`n_i` words, of at most 64, so
    that no word is behind the end of what the encoder :math:`e` reads. A shorter text is one piece with all its
    characters.
    """

    encoder: Encoder
    minimum: float = 0.0
    binds_replays = True

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= 1:
            raise ValueError(f"--min_similarity must lie in [0, 1], got {self.minimum}.")

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        if not self.minimum:
            return drafts
        similarities = yield from self.measure(original, drafts)
        return [draft for draft, value in zip(drafts, similarities, strict=True) if value >= self.minimum]

    def measure(self, original: Draft, drafts: Sequence[Draft]) -> Steps[list[float]]:
        """The similarity of each draft to the original, also as its ``similarity``.

        Raises:
            ValueError: the encoder gives an embedding that is not finite.
        """
        pieces = [_pieces(draft.text) for draft in (original, *drafts)]
        answer = yield Consult(self.encoder.encode, [piece for each in pieces for piece, _ in each])
        vectors = np.asarray(answer, dtype=np.float64)
        if not np.isfinite(vectors).all():
            raise ValueError(f"the encoder {self.encoder.name} gives embeddings that are not finite: use another one.")
        counts = np.array([count for each in pieces for _, count in each], dtype=np.float64)
        starts = np.cumsum([0, *(len(each) for each in pieces[:-1])])
        embedded = _unit(np.add.reduceat(vectors * counts[:, None], starts))
        angles = np.arccos(np.clip(embedded[1:] @ embedded[0], -1.0, 1.0))
        similarities = [round(float(value), _DIGITS) for value in 1 - angles / np.pi]
        for draft, value in zip(drafts, similarities, strict=True):
            draft.similarity = value
        return similarities

    def to(self, device: Any) -> None:
        """Move the encoder."""
        if hasattr(self.encoder, "to"):
            self.encoder.to(device)

    def fingerprint(self) -> str:
        """The encoder's fingerprint."""
        return self.encoder.fingerprint()

    def describe(self) -> dict[str, Any]:
        settings = {"minimum": self.minimum, "metric": "angular", "reference": "original", "piece": PIECE}
        return {"name": "text_similarity", "encoder": self.encoder.name, **settings}


def _pieces(text: Text) -> list[tuple[str, int]]:
    """The pieces of a text and their numbers of words."""
    # Splitting into words is slow, and a text with fewer characters than two for each word of a piece is short.
    if len(text.joined) <= 2 * PIECE or len(text.words) <= PIECE:
        return [(text.joined, 1)]
    pieces = []
    for number, column in enumerate(text.columns):
        words = [word for word in text.words if word.column == number]
        for first in range(0, len(words), PIECE):
            part = words[first : first + PIECE]
            pieces.append((column[part[0].start : part[-1].end], len(part)))
    return pieces


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.finfo(np.float64).tiny))
