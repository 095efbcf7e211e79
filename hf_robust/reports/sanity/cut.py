"""Was the text read to its end, and as far as in training?"""

from __future__ import annotations

import math

from hf_robust.reports.cells import percent
from hf_robust.reports.sanity.commands import attack_command, train_command
from hf_robust.reports.sanity.evidence import Evidence, Measured
from hf_robust.reports.sanity.finding import Finding
from hf_robust.runs import max_length_of

MANY = 0.05
"""Above this share of cut texts a rate is one about their beginnings."""


def cut_texts(evidence: Evidence) -> Finding:
    """Of a text that is cut the model reads the beginning alone, and recipes that are identical with TextAttack's
    spend their queries on the whole: a model looks robust because the attack changes what it never reads.

    Flagged above ``MANY`` of an attack's texts, and where texts were cut at another length than in training.
    """
    finding = Finding("cut_texts", "texts that were read to their end")
    for measured in evidence.measured:
        _share(finding, evidence, measured)
    _lengths(finding, evidence)
    if not evidence.main.attacks:
        finding.missing.append("the run has no attack.")
    return finding


def _share(finding: Finding, evidence: Evidence, measured: Measured) -> None:
    share, count = (float(measured.result.get(key, math.nan)) for key in ("texts_cut", "num_examples"))
    if not math.isfinite(share):
        finding.missing.append(f"{measured.label}: how many texts were cut was not counted.")
        return
    said = f"{measured.label}: {percent(share)} % of {count:,.0f} texts were cut"
    finding.numbers.append({"attack": measured.label, "texts_cut": share, "num_examples": count})
    if share <= MANY:
        finding.seen.append(f"{said}.")
        return
    if _tries_unread(measured):
        finding.flags.append(f"{said}, and it also tried words that the model does not read.")
        if measured.main:
            finding.suggest(attack_command(evidence.main, [measured], "mended", attack_fixed=True))
    else:
        finding.flags.append(f"{said}; its rates are about the beginnings of these texts.")
    length = max_length_of(evidence.main.training)
    if length:
        finding.suggest(*filter(None, [train_command(evidence.main, "longer", max_seq_length=str(2 * length))]))


def _tries_unread(measured: Measured) -> bool:
    """Whether words that were cut off are open to the attack: by TextAttack's rule, but in frozen columns."""
    if measured.described.get("word_rule") != "textattack":
        return False
    frozen = measured.described.get("frozen_columns") or ()
    words = ((one, *pair) for one in measured.records if one.read for pair in enumerate(one.text(one.original).words))
    return not measured.records or any(not one.reads(at) and word.column not in frozen for one, at, word in words)


def _lengths(finding: Finding, evidence: Evidence) -> None:
    main = evidence.main
    length, trained = max_length_of(main.run.card), max_length_of(main.training)
    if not main.trained and length is not None and trained is not None:
        finding.numbers.append({"max_length": length, "trained_max_length": trained})
        said = f"texts were cut at {length} tokens, and in training at {trained}."
        (finding.seen if length == trained else finding.flags).append(said)
