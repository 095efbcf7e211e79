"""Checks of learnt parts of a method: the weights of an adaptive adversary, and the word mask of FLAT."""

from __future__ import annotations

from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.weights import LEAST_MOVED
from hf_robust.reports.word_mask import SPREAD, mask_of
from hf_robust.runs import mask_defect


def word_mask(evidence: Evidence) -> Finding:
    """Flag a mask whose word importances hardly differ or do not correlate with the effect of leaving a word out.

    FLAT's loss terms then act on noise, and the model was trained by adversarial training behind that noise
    (`mask_defect`).
    """
    finding = Finding("word_mask", "word mask that tells important words from others")
    card = evidence.main.training
    if not card:
        finding.missing.append("the run card of the training was not found.")
    elif card.get("method") != "flat":
        finding.observations.append("the method has no word mask.")
    elif not (mask := mask_of(card)):
        finding.missing.append("the run card does not describe the learnt mask (an older or unfinished run).")
    else:
        sentence = (
            f"importances of {mask['phi_words']:,} words: mean {mask['phi_mean']:.2f}, standard deviation "
            f"{mask[SPREAD]:.3f}"
        )
        if "phi_rank" in mask:
            sentence += f", rank correlation {mask['phi_rank']:.2f} with the effect of leaving a word out"
        names = {"std": SPREAD, "mean": "phi_mean", "words": "phi_words", "rank": "phi_rank"}
        finding.numbers.append({name: mask.get(key) for name, key in names.items()})
        if reason := mask_defect(mask):
            finding.flags.append(f"{sentence}; this is not FLAT: {reason}.")
            finding.advice.append("train longer, or try other --flat_beta and --mask_learning_rate.")
        else:
            finding.observations.append(f"{sentence}.")
    return finding


def learnt_weights(evidence: Evidence) -> Finding:
    """Flag learnt weights that hardly moved the adversarial point: the run equals its control with frozen weights."""
    finding = Finding("learnt_weights", "learnt weights of the adversary")
    config = evidence.main.training.get("config") or {}
    rate, moved = config.get("w_lr"), config.get("point_moved")
    if rate is None:
        finding.missing.append("the method learns no adversary weights (the methods adaptive_* do).")
    elif not rate:
        finding.observations.append("the weights are frozen (--w_lr 0); this run is a control.")
    elif moved is None:
        finding.missing.append("how far the weights moved the adversarial point was not logged (older result).")
    else:
        sentence = f"moved the adversarial point by at most {100 * moved:.2g} % of its norm (--w_lr {rate:g})"
        finding.numbers.append({"point_moved": moved, "w_lr": rate})
        if moved < LEAST_MOVED:
            finding.flags.append(f"the weights had no effect: they {sentence}.")
            finding.advice.append(
                "attribute no gain to the weights (--w_lr 0 is the control), or train with a larger --w_lr; if "
                "increment_alignment in the log is near 1, no weights can move the point."
            )
        else:
            finding.observations.append(
                f"the weights {sentence}; their gain is the difference from a run with --w_lr 0."
            )
    return finding
