"""The list of checks, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from hf_robust.reports.sanity.accuracy import clean_accuracy, label_order
from hf_robust.reports.sanity.completeness import complete_run
from hf_robust.reports.sanity.coverage import table_coverage
from hf_robust.reports.sanity.cut import cut_texts
from hf_robust.reports.sanity.effort import query_budget
from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.sanity.learnt_weights import learnt_weights, word_mask
from hf_robust.reports.sanity.masking import gradient_masking
from hf_robust.reports.sanity.overlap import evaluation_unseen, held_out_table
from hf_robust.reports.sanity.random_control import random_control
from hf_robust.reports.sanity.saturation import saturated_scores
from hf_robust.reports.sanity.size import sample_size, training_seeds
from hf_robust.reports.sanity.stronger import stronger_attacks

CHECKS: tuple[Callable[[Evidence], Finding], ...] = (
    stronger_attacks,
    table_coverage,
    cut_texts,
    query_budget,
    gradient_masking,
    random_control,
    saturated_scores,
    sample_size,
    training_seeds,
    clean_accuracy,
    label_order,
    learnt_weights,
    held_out_table,
    evaluation_unseen,
    word_mask,
    complete_run,
)


def check_run(evidence: Evidence) -> list[Finding]:
    """Run every check on the evidence."""
    return [check(evidence) for check in CHECKS]
