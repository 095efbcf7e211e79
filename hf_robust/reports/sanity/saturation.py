"""Check for saturated scores: the probabilities of a very certain model are flat, so searches by them are blind."""

from __future__ import annotations

import json
import math

from hf_robust.metrics import SATURATED
from hf_robust.reports.cells import percent
from hf_robust.reports.compare import as_compared
from hf_robust.reports.sanity.commands import attack_command
from hf_robust.reports.sanity.evidence import Evidence, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.sanity.pairing import compare

PROBABILITY, MARGIN = "probability", "margin"


def saturated_scores(evidence: Evidence) -> Finding:
    """Raina et al. 2024 (arXiv:2402.17509): a very certain model looks robust to attacks that climb probabilities.

    Its float32 probabilities are flat, so the searches see no progress. Flagged are attacks with too many saturated
    queries (``AttackRecord``), and attacks that find more by the margin of the logits on the same examples.
    """
    finding = Finding("saturated_scores", "saturated probabilities that blind the searches")
    alone = []
    for blind in evidence.measured:
        if _scores(blind) != PROBABILITY:
            continue
        _share(finding, blind)
        pairs = [one for one in evidence.measured if _scores(one) == MARGIN and _recipe(one) == _recipe(blind)]
        for seeing in pairs:
            _judge(finding, blind, seeing)
        if blind.described.get("backend"):
            if finding.flags:
                finding.advice.append(f"use the native {blind.name} attack with --attack_scores margin.")
        elif not pairs and blind.main:
            alone.append(blind)
    if alone:
        finding.suggest(attack_command(evidence.main, alone, MARGIN, attack_scores=MARGIN))
    if not evidence.measured:
        finding.missing.append("the run has no attack.")
    by_margin = [one.label for one in evidence.measured if _scores(one) == MARGIN]
    if by_margin:
        finding.observations.append(f"{', '.join(by_margin)}: scored by the margin, which does not saturate.")
    return finding


def _share(finding: Finding, measured: MeasuredAttack) -> None:
    share, queries = (float(measured.result.get(key, math.nan)) for key in ("saturated_share", "queries"))
    attacked = measured.result.get("num_attacked", 0)
    if not math.isfinite(share):
        if attacked:
            finding.missing.append(
                f"{measured.label}: the number of saturated queries was not counted (older result)."
            )
        return
    sentence = f"{measured.label}: {percent(share)} % of {queries * attacked:,.0f} queries were saturated"
    finding.numbers.append({"attack": measured.label, "saturated_share": share, "queries": queries * attacked})
    if share > SATURATED:
        finding.flags.append(f"{sentence}; the search was blind there, so the model may only look robust.")
    else:
        finding.observations.append(f"{sentence}.")


def _judge(finding: Finding, blind: MeasuredAttack, seeing: MeasuredAttack) -> None:
    compared = compare(blind, seeing)
    if compared is None:
        return
    more = compared.is_rise
    sentence = (
        f"{blind.name} scored by margin against by probability: ASR {percent(compared.second)} % against "
        f"{percent(compared.first)} %, {compared.in_words()}"
    )
    consequence = "; the search by probability misses these" * more
    (finding.flags if more else finding.observations).append(f"{sentence}{consequence}.")
    finding.numbers.append({"attack": blind.label, "by_margin": seeing.label, **compared.numbers()})


def _scores(measured: MeasuredAttack) -> str | None:
    """Score that the attack climbs; None for static attacks, attacks without a description, and attacks on a vote."""
    if measured.described.get("backend"):
        return PROBABILITY
    scores = as_compared(measured.described).get("scores")
    return None if scores is None or measured.described.get("vote") else str(scores)


def _recipe(measured: MeasuredAttack) -> str:
    parts = {key: value for key, value in as_compared(measured.described).items() if key != "scores"}
    return json.dumps(parts, sort_keys=True)
