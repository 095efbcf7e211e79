"""Certificates for a vote over random substitutions (SAFER) or random masks (RanMASK).

Those of the network itself, which need torch, are in :mod:`~hf_robust.certify.intervals` and
:mod:`~hf_robust.certify.swaps`.
"""

from hf_robust.certify.masking import RandomMasking, kept_words, mask_shifts, random_masks
from hf_robust.certify.ranks import certify_on_ranks
from hf_robust.certify.rules import (
    BETAS,
    BOUNDS,
    INTERVALS,
    RULES,
    CertifySettings,
    certified_radius,
    certify_votes,
    clopper_pearson_lower,
    clopper_pearson_upper,
    hoeffding_lower,
    hoeffding_upper,
    swap_shifts,
)
from hf_robust.certify.smoothing import Smoothing
from hf_robust.certify.texts import Draws, certify_key, certify_texts, check_draws

__all__ = [
    "BETAS",
    "BOUNDS",
    "INTERVALS",
    "RULES",
    "CertifySettings",
    "Draws",
    "RandomMasking",
    "Smoothing",
    "certified_radius",
    "certify_key",
    "certify_on_ranks",
    "certify_texts",
    "certify_votes",
    "check_draws",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
    "hoeffding_lower",
    "hoeffding_upper",
    "kept_words",
    "mask_shifts",
    "random_masks",
    "swap_shifts",
]
