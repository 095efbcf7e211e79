"""Losses: pure functions on tensors that know neither Trainer nor tokenizer."""

from hf_robust.losses.balanced import balanced_pairwise, balanced_triplet, cosine_distance
from hf_robust.losses.divergence import kl, sample_kl, sample_symmetric_kl, symmetric_kl
from hf_robust.losses.pooling import POOLINGS, sentence_embedding

__all__ = [
    "POOLINGS", "balanced_pairwise", "balanced_triplet", "cosine_distance", "kl", "sample_kl", "sample_symmetric_kl",
    "sentence_embedding", "symmetric_kl",
]  # fmt: skip
