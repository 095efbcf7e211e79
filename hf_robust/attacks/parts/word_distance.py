"""Maximum distance between a substitute and its word, by word vectors."""

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
    """Vectors of lower-cased words; ``name`` is for result files.

    Args:
        words: N words.
        vectors: vectors [N, E]; they are not normalised, and squared errors depend on their length.
    """

    def __init__(self, words: Sequence[str], vectors: Vectors, name: str) -> None:
        self.vectors, self.name = vectors, name
        self._rows = {word: row for row, word in enumerate(words)}
        self._fingerprint: str | None = None

    def get(self, word: str) -> Vectors | None:
        """The vector [E] of a word in any case; None for an unknown word."""
        row = self._rows.get(word.lower())
        return None if row is None else self.vectors[row]

    def __len__(self) -> int:
        return len(self._rows)

    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of the words and vectors."""
        if self._fingerprint is None:
            digest = hashlib.blake2b("\n".join(self._rows).encode(), digest_size=8)
            digest.update(np.ascontiguousarray(self.vectors, dtype=np.float32).tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


def load_word_vectors(path: str | Path) -> WordVectors:
    """Read the vectors in a GloVe, word2vec or ``.npz`` file.

    Raises:
        ValueError: the file is missing or has another format.
    """
    return WordVectors(*read_vectors(path), name=str(path))


@dataclass(frozen=True)
class WordDistance(Constraint):
    r"""Each swapped word is close to the reference's word at the same position; unknown words pass.

    The cosine is at least ``min_cosine``, or the squared error :math:`\sum_d (a_d - b_d)^2` is at most
    ``max_squared_error`` (TextAttack's "mse"). The reference is the ``original`` or the text before the swap
    (``previous``). A text with a swapped word beyond the last word of the reference fails.
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
            raise ValueError(f"reference must be one of {', '.join(REFERENCES)}, got {self.reference!r}.")

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        words = (original if self.reference == "original" else current).text.keys
        return [draft for draft in drafts if self._allows(words, draft)]
        yield

    def _allows(self, words: list[str], draft: Draft) -> bool:
        keys, limit = draft.text.keys, len(words)
        return all(
            index < limit and index < len(keys) and self.near(words[index], keys[index])
            for index in draft.last_modified
        )

    def near(self, word: str, other: str) -> bool:
        """Whether the two words are close enough; unknown words are."""
        first, second = self.vectors.get(word), self.vectors.get(other)
        if first is None or second is None:
            return True
        if self.max_squared_error is not None:
            return bool(((first - second) ** 2).sum() <= self.max_squared_error)
        lengths = np.linalg.norm(first) * np.linalg.norm(second)
        return bool(first @ second >= self.min_cosine * np.maximum(lengths, 1e-8))

    def fingerprint(self) -> str:
        """The fingerprint of the vectors."""
        return self.vectors.fingerprint()

    def describe(self) -> dict[str, Any]:
        return {
            "name": "word_distance",
            "vectors": self.vectors.name,
            "min_cosine": self.min_cosine,
            "max_squared_error": self.max_squared_error,
            "reference": self.reference,
        }
