"""Does a learnt word mask tell words apart?"""

from __future__ import annotations

from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.word_mask import SPREAD, mask_of
from hf_robust.runs import why_not_flat


def word_mask(evidence: Evidence) -> Finding:
    """Flagged where the importances of words hardly differ, or do not follow what leaving a word out changes: FLAT's
    terms then act on noise, and what was trained is adversarial training behind it (`why_not_flat`).
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
        if reason := why_not_flat(found):
            finding.flags.append(f"{said}; this is not FLAT: {reason}.")
            finding.advice.append("train longer, or try other --flat_beta and --mask_learning_rate.")
        else:
            finding.seen.append(f"{said}.")
    return finding
