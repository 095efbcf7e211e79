"""Initial word embeddings from a file of word vectors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hf_robust.models.tokenizer import WordSource

logger = logging.getLogger(__name__)


@torch.no_grad()
def fill_embeddings(embeddings: nn.Embedding, vocabulary: Mapping[str, int], source: WordSource) -> int:
    """Write the vectors of ``source`` into the rows of their words; returns the number of these rows.

    All other rows are drawn from N(0, s) by torch's global random state, where s is the standard deviation of all
    numbers in the file; the padding row is zero.

    Args:
        embeddings: the embedding layer [V, E].
        vocabulary: row of each token.
        source: words with vectors [N, E].

    Raises:
        ValueError: the vectors have another width, or no token has a vector.
    """
    vectors: Any = source.vectors
    if vectors.shape[1] != embeddings.embedding_dim:
        raise ValueError(
            f"the vectors of {source.path} have width {vectors.shape[1]} and the model's embedding_size is "
            f"{embeddings.embedding_dim}; give vectors of that width, or change --config_name."
        )
    rows = {word: row for row, word in enumerate(source.words)}
    pairs = [(index, rows[token]) for token, index in vocabulary.items() if token in rows]
    if not pairs:
        raise ValueError(
            f"none of the {len(vocabulary):,} tokens of the vocabulary is in {source.path}; give vectors of the "
            "tokenizer's language, or leave --word_vectors out."
        )
    embeddings.weight.normal_(std=float(vectors.std()))
    targets, sources = (list(numbers) for numbers in zip(*pairs, strict=True))
    embeddings.weight[targets] = torch.from_numpy(vectors[sources]).to(embeddings.weight)
    if embeddings.padding_idx is not None:
        embeddings.weight[embeddings.padding_idx] = 0.0
    logger.info(f"{len(pairs):,} of {len(vocabulary):,} word embeddings start from {source.path}.")
    return len(pairs)
