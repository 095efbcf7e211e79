"""Rates, intervals and what they are taken of. Importing it is cheap: no torch, no scikit-learn."""

from hf_robust.metrics.budget import asr_at_budget
from hf_robust.metrics.certificates import Certificate, CertificateSummary
from hf_robust.metrics.coverage import (
    Coverage,
    coverage_of_card,
    is_little,
    not_all_covered,
    some_rows,
    texts_covered,
)
from hf_robust.metrics.front import pareto_front
from hf_robust.metrics.guessing import Guessing
from hf_robust.metrics.means import Mean, mean_interval
from hf_robust.metrics.paired import Difference, holm, mcnemar_exact, paired_difference
from hf_robust.metrics.rates import (
    SATURATED,
    Aim,
    AttackSummary,
    aim_of,
    kept_prediction,
    saturation_in_words,
    wilson_interval,
)
from hf_robust.metrics.records import AttackRecord
from hf_robust.metrics.slices import Slice, own_slices, slices
from hf_robust.metrics.transition import ClassScores, Predicted, SliceReport, Transition, error_transition
from hf_robust.metrics.union import UnionSummary, union_of_attacks

__all__ = [
    "SATURATED",
    "Aim",
    "AttackRecord",
    "AttackSummary",
    "Certificate",
    "CertificateSummary",
    "ClassScores",
    "Coverage",
    "Difference",
    "Guessing",
    "Mean",
    "Predicted",
    "Slice",
    "SliceReport",
    "Transition",
    "UnionSummary",
    "aim_of",
    "asr_at_budget",
    "coverage_of_card",
    "error_transition",
    "holm",
    "is_little",
    "kept_prediction",
    "mcnemar_exact",
    "mean_interval",
    "not_all_covered",
    "own_slices",
    "paired_difference",
    "pareto_front",
    "saturation_in_words",
    "slices",
    "some_rows",
    "texts_covered",
    "union_of_attacks",
    "wilson_interval",
]
