"""Did the weights that an adaptive adversary learnt do anything?"""

from __future__ import annotations

from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.weights import LEAST_MOVED


def learnt_weights(evidence: Evidence) -> Finding:
    """A run whose weights hardly moved the adversary's point shows what its control with frozen weights shows."""
    finding = Finding("learnt_weights", "the weights that the adversary learnt")
    config = evidence.main.training.get("config") or {}
    rate, moved = config.get("w_lr"), config.get("point_moved")
    if rate is None:
        finding.missing.append("the run learnt no weights (adaptive_* do).")
    elif not rate:
        finding.seen.append("the weights are frozen (--w_lr 0): the control of a run that learns them.")
    elif moved is None:
        finding.missing.append("how far the weights moved the point was not logged (older result).")
    else:
        said = f"moved the point by {100 * moved:.2g} % of its norm at most (--w_lr {rate:g})"
        finding.numbers.append({"point_moved": moved, "w_lr": rate})
        if moved < LEAST_MOVED:
            finding.flags.append(f"the weights did nothing: they {said}.")
            finding.advice.append(
                "credit them with nothing (--w_lr 0 is the control), or train with a larger --w_lr; where "
                "increment_alignment in the log is near 1, no weights can move the point."
            )
        else:
            finding.seen.append(f"the weights {said}; what they gain is the difference to a run with --w_lr 0.")
    return finding
