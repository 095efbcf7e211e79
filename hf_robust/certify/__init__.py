"""Certificates for a vote over random substitutions, which no attacker with the same table can change (SAFER)."""

from hf_robust.certify.ranks import certify_on_ranks
from hf_robust.certify.rules import (
    BOUNDS,
    RULES,
    CertifySettings,
    certified_radius,
    certify_votes,
    clopper_pearson_lower,
    clopper_pearson_upper,
    hoeffding_lower,
    hoeffding_upper,
)
from hf_robust.certify.smoothing import Smoothing, require_substitutes
from hf_robust.certify.texts import certify_key, certify_texts

__all__ = [
    "BOUNDS",
    "RULES",
    "CertifySettings",
    "Smoothing",
    "certified_radius",
    "certify_key",
    "certify_on_ranks",
    "certify_texts",
    "certify_votes",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
    "hoeffding_lower",
    "hoeffding_upper",
    "require_substitutes",
]
