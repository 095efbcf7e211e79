"""Rates and intervals, and the records that they are computed from. Importing it loads neither torch nor sklearn."""

from hf_robust.metrics.budget import asr_at_budget
from hf_robust.metrics.cascade import cascade_history
from hf_robust.metrics.certificates import Certificate, CertificateSummary
from hf_robust.metrics.class_scores import ClassCounts, ClassScores
from hf_robust.metrics.confidence_sequence import ConfidenceSequence
from hf_robust.metrics.coverage import (
    Coverage,
    coverage_of_card,
    is_little,
    partial_coverage,
    sampled_rows,
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
    judged_by,
    records_keep_prediction,
    saturation_warning,
    wilson_interval,
)
from hf_robust.metrics.records import AttackRecord
from hf_robust.metrics.slices import Slice, custom_slices, slices
from hf_robust.metrics.transition import Predicted, SliceReport, Transition, error_transition
from hf_robust.metrics.union import UnionSummary, union_of_attacks

__all__ = [
    "SATURATED",
    "Aim",
    "AttackRecord",
    "AttackSummary",
    "Certificate",
    "CertificateSummary",
    "ClassCounts",
    "ClassScores",
    "ConfidenceSequence",
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
    "cascade_history",
    "coverage_of_card",
    "error_transition",
    "holm",
    "is_little",
    "judged_by",
    "records_keep_prediction",
    "mcnemar_exact",
    "mean_interval",
    "partial_coverage",
    "custom_slices",
    "paired_difference",
    "pareto_front",
    "saturation_warning",
    "slices",
    "sampled_rows",
    "texts_covered",
    "union_of_attacks",
    "wilson_interval",
]
