"""Rates, intervals and result records. Importing it is cheap: no torch, no scikit-learn."""

from hf_robust.metrics.budget import asr_at_budget
from hf_robust.metrics.rates import AttackSummary, wilson_interval
from hf_robust.metrics.records import AttackRecord, read_records, write_records
from hf_robust.metrics.union import UnionSummary, union_of_attacks

__all__ = [
    "AttackRecord",
    "AttackSummary",
    "UnionSummary",
    "asr_at_budget",
    "read_records",
    "union_of_attacks",
    "wilson_interval",
    "write_records",
]
