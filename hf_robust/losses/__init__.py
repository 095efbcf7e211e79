"""Losses: pure functions on tensors that know neither Trainer nor tokenizer."""

from hf_robust.losses.balanced import balanced_pairwise, balanced_triplet, cosine_distance
from hf_robust.losses.contrastive import contrastive, pair_distances
from hf_robust.losses.divergence import kl, sample_kl, sample_symmetric_kl, soft_label_kl, symmetric_kl
from hf_robust.losses.flooding import flood, flooded
from hf_robust.losses.information import NEGATIVES, club, info_nce, middle_ranks
from hf_robust.losses.mmd import coral, mmd, sinkhorn
from hf_robust.losses.pooling import POOLINGS, sentence_embedding

__all__ = [
    "NEGATIVES", "POOLINGS", "balanced_pairwise", "balanced_triplet", "club", "contrastive",
    "coral", "cosine_distance", "flood", "flooded", "info_nce", "kl", "middle_ranks", "mmd", "pair_distances",
    "sample_kl", "sample_symmetric_kl", "sentence_embedding", "sinkhorn", "soft_label_kl",
    "symmetric_kl",
]  # fmt: skip
