"""Does a learnt word mask tell words apart?"""

from __future__ import annotations

from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.word_mask import SPREAD, mask_of
from hf_robust.runs import LEAST_SPREAD


def word_mask(evidence: Evidence) -> Finding:
    """Flagged where the importances of words hardly differ: FLAT's terms then act on nothing, and what was trained is
    adversarial training behind noise.

    ``LEAST_SPREAD`` is half of what a mask has that ranks words as the model's own predictions do
    (``benchmarks/results/flat_mask.json``), and above that of one that reads raw embeddings.
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
        finding.numbers.append({"std": found[SPREAD], "mean": found["phi_mean"], "words": found["phi_words"]})
        if found[SPREAD] < LEAST_SPREAD:
            finding.flags.append(f"{said}, below {LEAST_SPREAD:g}: the mask keeps all words alike, which is not FLAT.")
            finding.advice.append("train longer, lower --flat_beta or raise --mask_learning_rate.")
        else:
            finding.seen.append(f"{said}.")
    return finding
