"""Maximum distance between a substitute and its word, or between two texts, by word vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Floats, Steps
from hf_robust.attacks.parts.constraints import Constraint
from hf_robust.attacks.parts.similarity import REFERENCES
from hf_robust.words.vector_files import Vectors, read_vectors


class WordVectors:
    """Vectors of lower-cased words; ``name`` is for result files.

    Args:
        words: N words.
        vectors: vectors [N, E]; they are not normalised, and squared errors depend on their length.

    Attributes:
        rows: word -> row of its vector.
    """

    def __init__(self, words: Sequence[str], vectors: Vectors, name: str) -> None:
        self.vectors, self.name = vectors, name
        self.rows = {word: row for row, word in enumerate(words)}
        self._fingerprint: str | None = None

    def get(self, word: str) -> Vectors | None:
        """The vector [E] of a word in any case; None for an unknown word."""
        row = self.rows.get(word.lower())
        return None if row is None else self.vectors[row]

    def cased(self, word: str) -> Vectors | None:
        """The vector [E] of exactly this word; None for an unknown word, such as an upper-case one."""
        row = self.rows.get(word)
        return None if row is None else self.vectors[row]

    def __len__(self) -> int:
        return len(self.rows)

    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of the words and vectors."""
        if self._fingerprint is None:
            digest = hashlib.blake2b("\n".join(self.rows).encode(), digest_size=8)
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
        words = (original if self.reference == "original" else current).keys
        return [draft for draft in drafts if self._allows(words, draft)]
        yield

    def _allows(self, words: list[str], draft: Draft) -> bool:
        keys, limit = draft.keys, len(words)
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


@dataclass(frozen=True)
class MaxThoughtDistance(Constraint):
    r"""The mean word vector of the text, its thought vector v, stays close to the original's (Kuleshov et al. 2018).

    .. math:: \lVert v(x') - v(x) \rVert_2 \le \lambda_1, \quad v(x) = \frac{1}{|K|} \sum_{i \in K} e(w_i)

    K are the words with a vector; ``maximum`` is :math:`\lambda_1`. As in TextAttack 0.3.11, the bound is on the
    square of the distance, and a word in another case than its vector's has no vector; ``mended`` changes both. A text
    without any vector fails (TextAttack ends with an error).
    """

    vectors: WordVectors
    maximum: float = 0.2
    mended: bool = False

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        reference = self._thought(original)
        total, count = self._sum(current)
        good = []
        for draft in drafts:
            thought = self._after(draft, current, total, count)
            if reference is not None and thought is not None and self._distance(reference, thought) <= self.maximum:
                good.append(draft)
        return good
        yield

    def _distance(self, first: Floats, second: Floats) -> float:
        squared = float(((first - second) ** 2).sum())
        return squared**0.5 if self.mended else squared

    def _vector(self, word: str) -> Vectors | None:
        return self.vectors.get(word) if self.mended else self.vectors.cased(word)

    def _sum(self, draft: Draft) -> tuple[Floats, int]:
        known = [vector for word in draft.words if (vector := self._vector(word)) is not None]
        total = np.zeros(self.vectors.vectors.shape[1], dtype=np.float64)
        return total + (np.sum(known, axis=0, dtype=np.float64) if known else 0), len(known)

    def _thought(self, draft: Draft) -> Floats | None:
        total, count = self._sum(draft)
        return total / count if count else None

    def _after(self, draft: Draft, current: Draft, total: Floats, count: int) -> Floats | None:
        """The thought vector of a draft, from that of ``current`` if it swaps words of ``current`` one by one."""
        if draft.parent is not current or not draft.keeps_count:
            return self._thought(draft)
        for index, new in draft.swaps.items():
            for word, sign in ((current.words[index], -1), (new, 1)):
                if (vector := self._vector(word)) is not None:
                    total, count = total + sign * vector.astype(np.float64), count + sign
        return total / count if count else None

    def fingerprint(self) -> str:
        """The fingerprint of the vectors."""
        return self.vectors.fingerprint()

    def describe(self) -> dict[str, Any]:
        settings = {"maximum": self.maximum, "mended": self.mended}
        return {"name": "max_thought_distance", "vectors": self.vectors.name, **settings}
