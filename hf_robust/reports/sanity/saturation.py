"""Could the searches see what they did? A model that is very certain hides it from those that climb probabilities."""

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
    """Raina et al. 2024 (arXiv:2402.17509): a model made very certain looks robust to attacks that climb float32
    probabilities, which are then flat, without being so.

    Flagged where that many queries were saturated (``AttackRecord``), and where the same attack finds more by the
    margin of the logits than by probabilities on the same examples.
    """
    finding = Finding("saturated_scores", "scores that the searches could not see move")
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
                finding.advice.append(f"attack by the native {blind.name}, with --attack_scores margin.")
        elif not pairs and blind.main:
            alone.append(blind)
    if alone:
        finding.suggest(attack_command(evidence.main, alone, MARGIN, attack_scores=MARGIN))
    if not evidence.measured:
        finding.missing.append("the run has no attack.")
    by_margin = [one.label for one in evidence.measured if _scores(one) == MARGIN]
    if by_margin:
        finding.seen.append(f"{', '.join(by_margin)}: scored by the margin, which no certainty makes flat.")
    return finding


def _share(finding: Finding, measured: MeasuredAttack) -> None:
    share, queries = (float(measured.result.get(key, math.nan)) for key in ("saturated_share", "queries"))
    attacked = measured.result.get("num_attacked", 0)
    if not math.isfinite(share):
        if attacked:
            finding.missing.append(
                f"{measured.label}: how many queries were saturated was not counted (older result)."
            )
        return
    said = f"{measured.label}: {percent(share)} % of {queries * attacked:,.0f} queries were saturated"
    finding.numbers.append({"attack": measured.label, "saturated_share": share, "queries": queries * attacked})
    if share > SATURATED:
        finding.flags.append(f"{said}; the search was blind there, and the model may look robust without being so.")
    else:
        finding.seen.append(f"{said}.")


def _judge(finding: Finding, blind: MeasuredAttack, seeing: MeasuredAttack) -> None:
    compared = compare(blind, seeing)
    if compared is None:
        return
    more = compared.is_rise
    said = (
        f"{blind.name} by margin against by probability: ASR {percent(compared.second)} % against "
        f"{percent(compared.first)} %, {compared.in_words()}"
    )
    (finding.flags if more else finding.seen).append(f"{said}{'; what probability hides' * more}.")
    finding.numbers.append({"attack": blind.label, "by_margin": seeing.label, **compared.numbers()})


def _scores(measured: MeasuredAttack) -> str | None:
    """How an attack reads the model; None of one that searches for nothing or is not described, and of a vote."""
    if measured.described.get("backend"):
        return PROBABILITY
    scores = as_compared(measured.described).get("scores")
    return None if scores is None or measured.described.get("vote") else str(scores)


def _recipe(measured: MeasuredAttack) -> str:
    parts = {key: value for key, value in as_compared(measured.described).items() if key != "scores"}
    return json.dumps(parts, sort_keys=True)
