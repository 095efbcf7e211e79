"""Rates, intervals and result records. Importing it is cheap: no torch, no scikit-learn."""

from hf_robust.metrics.aim import Aim, aim_of, kept_prediction
from hf_robust.metrics.budget import asr_at_budget
from hf_robust.metrics.certificates import (
    Certificate,
    CertificateSummary,
    read_certificates,
    write_certificates,
)
from hf_robust.metrics.front import pareto_front
from hf_robust.metrics.paired import Difference, holm, mcnemar_exact, paired_difference
from hf_robust.metrics.pairs import read_pairs
from hf_robust.metrics.rates import SATURATED, AttackSummary, saturation_in_words, wilson_interval
from hf_robust.metrics.records import AttackRecord, read_records, write_records
from hf_robust.metrics.slices import Slice, slices
from hf_robust.metrics.statuses import STATUSES_FILE, read_statuses
from hf_robust.metrics.transition import ClassScores, SliceReport, Transition, error_transition
from hf_robust.metrics.union import UnionSummary, union_of_attacks

__all__ = [
    "SATURATED",
    "STATUSES_FILE",
    "Aim",
    "AttackRecord",
    "AttackSummary",
    "Certificate",
    "CertificateSummary",
    "ClassScores",
    "Difference",
    "Slice",
    "SliceReport",
    "Transition",
    "UnionSummary",
    "aim_of",
    "asr_at_budget",
    "error_transition",
    "read_certificates",
    "holm",
    "kept_prediction",
    "mcnemar_exact",
    "paired_difference",
    "pareto_front",
    "read_pairs",
    "read_records",
    "read_statuses",
    "saturation_in_words",
    "slices",
    "union_of_attacks",
    "wilson_interval",
    "write_certificates",
    "write_records",
]
