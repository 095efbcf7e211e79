"""Did the weights that an adaptive adversary learnt do anything?

Does a learnt word mask tell words apart?
"""

from __future__ import annotations

from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.weights import LEAST_MOVED
from hf_robust.reports.word_mask import SPREAD, mask_of
from hf_robust.runs import mask_defect


def word_mask(evidence: Evidence) -> Finding:
    """Flagged where the importances of words hardly differ, or do not follow what leaving a word out changes: FLAT's
    terms then act on noise, and what was trained is adversarial training behind it (`mask_defect`).
    """
    finding = Finding("word_mask", "a mask that tells words apart")
    card = evidence.main.training
    if not card:
        finding.missing.append("the run card of the training is not at hand, so that nobody knows of a mask.")
    elif card.get("method") != "flat":
        finding.seen.append("training learnt no word mask.")
    elif not (found := mask_of(card)):
        finding.missing.append("the run card does not say what the mask learnt (an older or unfinished run).")
    else:
        said = (
            f"importances of {found['phi_words']:,} words: mean {found['phi_mean']:.2f}, standard deviation "
            f"{found[SPREAD]:.3f}"
        )
        if "phi_rank" in found:
            said += f", rank correlation {found['phi_rank']:.2f} with what leaving a word out changes"
        names = {"std": SPREAD, "mean": "phi_mean", "words": "phi_words", "rank": "phi_rank"}
        finding.numbers.append({name: found.get(key) for name, key in names.items()})
        if reason := mask_defect(found):
            finding.flags.append(f"{said}; this is not FLAT: {reason}.")
            finding.advice.append("train longer, or try other --flat_beta and --mask_learning_rate.")
        else:
            finding.seen.append(f"{said}.")
    return finding


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
