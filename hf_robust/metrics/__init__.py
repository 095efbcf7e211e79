"""Rates, intervals and what they are taken of. Importing it is cheap: no torch, no scikit-learn."""

from hf_robust.metrics.budget import asr_at_budget
from hf_robust.metrics.certificates import Certificate, CertificateSummary
from hf_robust.metrics.front import pareto_front
from hf_robust.metrics.guessing import Guessing
from hf_robust.metrics.paired import Difference, holm, mcnemar_exact, paired_difference
from hf_robust.metrics.rates import AttackSummary, wilson_interval
from hf_robust.metrics.records import AttackRecord
from hf_robust.metrics.slices import Slice, slices
from hf_robust.metrics.transition import ClassScores, SliceReport, Transition, error_transition
from hf_robust.metrics.union import UnionSummary, union_of_attacks

__all__ = [
    "AttackRecord",
    "AttackSummary",
    "Certificate",
    "CertificateSummary",
    "ClassScores",
    "Difference",
    "Guessing",
    "Slice",
    "SliceReport",
    "Transition",
    "UnionSummary",
    "asr_at_budget",
    "error_transition",
    "holm",
    "mcnemar_exact",
    "paired_difference",
    "pareto_front",
    "slices",
    "union_of_attacks",
    "wilson_interval",
]
