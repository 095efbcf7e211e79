"""Check how many texts were truncated, and whether attack and training used the same length."""

from __future__ import annotations

import math

from hf_robust.reports.cells import percent
from hf_robust.reports.sanity.commands import attack_command, train_command
from hf_robust.reports.sanity.evidence import Evidence, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.runs import max_length_of

MANY = 0.05
"""Share of truncated texts above which the rates describe only the beginnings of texts."""


def cut_texts(evidence: Evidence) -> Finding:
    """Flag attacks on truncated texts: a model looks robust if an attack changes words that it never reads.

    Recipes that are identical to TextAttack's spend queries on such words too. The limit is ``MANY`` of an attack's
    texts. A length other than that of training is flagged as well.
    """
    finding = Finding("cut_texts", "texts cut off by truncation")
    for measured in evidence.measured:
        _share(finding, evidence, measured)
    _lengths(finding, evidence)
    if not evidence.main.attacks:
        finding.missing.append("the run has no attack.")
    return finding


def _share(finding: Finding, evidence: Evidence, measured: MeasuredAttack) -> None:
    share, count = (float(measured.result.get(key, math.nan)) for key in ("texts_cut", "num_examples"))
    if not math.isfinite(share):
        finding.missing.append(f"{measured.label}: the number of truncated texts was not counted.")
        return
    sentence = f"{measured.label}: {percent(share)} % of {count:,.0f} texts were cut"
    finding.numbers.append({"attack": measured.label, "texts_cut": share, "num_examples": count})
    if share <= MANY:
        finding.observations.append(f"{sentence}.")
        return
    if _tries_unread(measured):
        finding.flags.append(f"{sentence}, and it also tried words that the model does not read.")
        if measured.main:
            finding.suggest(attack_command(evidence.main, [measured], "mended", attack_fixed=True))
    else:
        finding.flags.append(f"{sentence}; its rates describe only the beginnings of these texts.")
    length = max_length_of(evidence.main.training)
    if length:
        finding.suggest(*filter(None, [train_command(evidence.main, "longer", max_seq_length=str(2 * length))]))


def _tries_unread(measured: MeasuredAttack) -> bool:
    """Whether the attack may change words that were cut off, as TextAttack's recipes may outside frozen columns."""
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
        sentence = f"texts were cut at {length} tokens in the attacks and at {trained} tokens in training."
        (finding.observations if length == trained else finding.flags).append(sentence)
