"""The words that a new model knows: those of the training texts, then those of a file of word vectors."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hf_robust.models.tokenizer import SPECIAL_TOKENS, cut
from hf_robust.words.vector_files import Vectors, read_vectors

logger = logging.getLogger(__name__)

VOCABULARY_SIZE = 100_000


@dataclass(frozen=True)
class WordSource:
    """What a new model takes its words from.

    Args:
        texts: those it will train on.
        path: where the vectors came from, for messages.
        words: N words with a vector, lower-cased, frequent ones first; none where there are no vectors.
        vectors: [N, E], or None.
        size: most tokens of the vocabulary.
    """

    texts: Sequence[str]
    path: str = ""
    words: Sequence[str] = ()
    vectors: Vectors | None = None
    size: int = VOCABULARY_SIZE

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each token occurs in the texts."""
        return Counter(token for text in self.texts for token in cut(text))

    def vocabulary(self) -> list[str]:
        """Special tokens, the texts' tokens by falling frequency, and the vectors' words in the order of their file.

        The vectors' words are there so that a substitute from outside the training texts is not [UNK]: an attack
        would else replace any word by the same unknown one. A word that the tokenizer would cut is left out.

        Raises:
            ValueError: there are vectors, and no word of the texts has one.
        """
        known = sorted(self.counts, key=lambda token: (-self.counts[token], token))
        if self.words:
            self._report_coverage()
        found = dict.fromkeys([*SPECIAL_TOKENS, *known])
        found |= dict.fromkeys(word for word in self.words if cut(word) == [word])
        tokens = list(found)
        if len(tokens) > self.size:
            logger.warning(
                f"{len(tokens) - self.size:,} words are left out of the vocabulary, the least frequent ones: raise "
                f"--vocabulary_size ({self.size:,}) to keep them."
            )
        return tokens[: self.size]

    def _report_coverage(self) -> None:
        has_vector = set(self.words)
        covered = [token for token in self.counts if token in has_vector]
        if not covered:
            raise ValueError(
                f"none of the {len(self.counts):,} words of the training texts is in {self.path}; give vectors of the "
                "texts' language, or leave --word_vectors out."
            )
        running, total = sum(self.counts[token] for token in covered), self.counts.total()
        logger.info(
            f"Word vectors: {len(covered):,} of {len(self.counts):,} distinct tokens of the training texts "
            f"({len(covered) / len(self.counts):.1%}) and {running / total:.1%} of all tokens are in {self.path}."
        )


def read_source(texts: Sequence[str], path: str | None, size: int = VOCABULARY_SIZE) -> WordSource:
    """The words of ``texts`` and of the vectors in ``path``, if any.

    Raises:
        ValueError: the vectors cannot be read, or the vocabulary is too small for its special tokens.
    """
    if size <= len(SPECIAL_TOKENS):
        raise ValueError(
            f"--vocabulary_size must be above {len(SPECIAL_TOKENS)}, the number of special tokens, got {size}."
        )
    if path is None:
        return WordSource(texts, size=size)
    words, vectors = read_vectors(path)
    return WordSource(texts, str(path), words, vectors, size)
