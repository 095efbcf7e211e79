"""How far a substitute may be from the word it stands for, by word vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.parts.constraints import Constraint
from hf_robust.attacks.parts.similarity import REFERENCES
from hf_robust.words.vector_files import Vectors, read_vectors


class WordVectors:
    """Vectors of lower-cased words; ``name`` goes into result files.

    Args:
        words: N words.
        vectors: [N, E], taken as they are: squared errors depend on their length.
    """

    def __init__(self, words: Sequence[str], vectors: Vectors, name: str) -> None:
        self.vectors, self.name = vectors, name
        self._rows = {word: row for row, word in enumerate(words)}
        self._fingerprint: str | None = None

    def get(self, word: str) -> Vectors | None:
        """The vector [E] of a word, whatever its case; None for an unknown one."""
        row = self._rows.get(word.lower())
        return None if row is None else self.vectors[row]

    def __len__(self) -> int:
        return len(self._rows)

    def fingerprint(self) -> str:
        """16 hexadecimal characters of the words and numbers."""
        if self._fingerprint is None:
            digest = hashlib.blake2b("\n".join(self._rows).encode(), digest_size=8)
            digest.update(np.ascontiguousarray(self.vectors, dtype=np.float32).tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


def load_word_vectors(path: str | Path) -> WordVectors:
    """The vectors in a GloVe, word2vec or ``.npz`` file.

    Raises:
        ValueError: the file is not there, or not such a file.
    """
    return WordVectors(*read_vectors(path), name=str(path))


@dataclass(frozen=True)
class WordDistance(Constraint):
    r"""Each word of the last swap is near enough to the reference's word at its place; unknown words pass.

    Either the cosine is at least ``min_cosine`` or the squared error :math:`\sum_d (a_d - b_d)^2` at most
    ``max_squared_error`` (TextAttack's "mse"). The reference is the ``original`` or the text before the swap
    (``previous``). A text whose words reach beyond the reference's fails.
    """

    vectors: WordVectors
    min_cosine: float | None = None
    max_squared_error: float | None = None
    reference: str = "original"

    def __post_init__(self) -> None:
        if (self.min_cosine is None) == (self.max_squared_error is None):
            raise ValueError(
                "a word distance needs either min_cosine or max_squared_error, "
                f"got {self.min_cosine} and {self.max_squared_error}."
            )
        if self.reference not in REFERENCES:
            raise ValueError(f"a word's reference is one of {', '.join(REFERENCES)}, got {self.reference!r}.")

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        words = (original if self.reference == "original" else current).text.keys
        return [draft for draft in drafts if self._allows(words, draft)]
        yield

    def _allows(self, words: list[str], draft: Draft) -> bool:
        own, limit = draft.text.keys, len(words)
        return all(index < limit and index < len(own) and self.near(words[index], own[index]) for index in draft.fresh)

    def near(self, word: str, other: str) -> bool:
        """Whether one of the words may stand for the other."""
        first, second = self.vectors.get(word), self.vectors.get(other)
        if first is None or second is None:
            return True
        if self.max_squared_error is not None:
            return bool(((first - second) ** 2).sum() <= self.max_squared_error)
        lengths = np.linalg.norm(first) * np.linalg.norm(second)
        return bool(first @ second >= self.min_cosine * np.maximum(lengths, 1e-8))

    def fingerprint(self) -> str:
        """The vectors'."""
        return self.vectors.fingerprint()

    def describe(self) -> dict[str, Any]:
        return {
            "name": "word_distance",
            "vectors": self.vectors.name,
            "min_cosine": self.min_cosine,
            "max_squared_error": self.max_squared_error,
            "reference": self.reference,
        }
