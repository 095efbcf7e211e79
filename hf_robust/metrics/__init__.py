"""Rates, intervals and result records. Importing it is cheap: no torch, no scikit-learn."""

from hf_robust.metrics.rates import AttackSummary, wilson_interval
from hf_robust.metrics.records import AttackRecord, read_records, write_records

__all__ = ["AttackRecord", "AttackSummary", "read_records", "wilson_interval", "write_records"]
