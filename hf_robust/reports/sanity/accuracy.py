"""Has the model learnt the task at all?"""

from __future__ import annotations

import math
from collections import Counter

from hf_robust.metrics import AttackRecord
from hf_robust.metrics.paired import least_accuracy
from hf_robust.reports.compare import STATIC
from hf_robust.reports.sanity.evidence import Evidence, Measured
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.tables import accuracy_interval, percent


def clean_accuracy(evidence: Evidence) -> Finding:
    """A model that guesses is robust to everything: its rates say nothing (Carlini et al. 2019).

    Flagged where the larger class's share lies in the accuracy's Wilson interval, or the accuracy is below
    ``least_accuracy``: ten points above guessing where two classes are even, and as far on the way to no error
    elsewhere.
    """
    finding = Finding("clean_accuracy", "clean accuracy against guessing")
    records = _of_the_data(evidence)
    accuracy = float(evidence.run.published["accuracy"])
    if not records:
        finding.missing.append("the labels of the examples were not kept (attack_results/*.jsonl).")
        return finding
    interval, where = accuracy_interval(evidence.run), "of the whole split"
    if not math.isfinite(accuracy):
        accuracy = sum(one.original_prediction == one.label for one in records) / len(records)
        interval, where = None, "of the examples attacked"
    label, count = Counter(one.label for one in records).most_common(1)[0]
    share = count / len(records)
    least = least_accuracy(share)
    inside = interval is not None and interval[0] <= share
    said = (
        f"accuracy {percent(accuracy, interval)} % {where}; class {label} is {percent(share)} % of the "
        f"{len(records):,} examples attacked, so that below {percent(least)} % little was learnt"
    )
    near = accuracy < least or inside
    finding.numbers.append({"accuracy": accuracy, "larger_class": share, "least": least, "num_examples": len(records)})
    (finding.flags if near else finding.seen).append(f"{said}{'; robustness of a guess says nothing' * near}.")
    if near:
        finding.advice.append("train longer, or with another learning rate, before measuring robustness.")
    return finding


def _of_the_data(evidence: Evidence) -> list[AttackRecord]:
    """The records of the attack that was given the most of the data's own examples."""
    own: list[Measured] = [
        one for one in evidence.main.attacks if (one.described.get("candidates") or {}).get("name") not in STATIC
    ]
    return max((list(one.records) for one in own), key=len, default=[])
