"""Check that the success rate rises with the query budget and levels off before the budget ends."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from hf_robust.metrics import AttackRecord, wilson_interval
from hf_robust.metrics.rates import ratio
from hf_robust.reports.cells import percent
from hf_robust.reports.sanity.commands import attack_command
from hf_robust.reports.sanity.evidence import Evidence, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding

EARLY = 10
"""The early queries are the first 1/10 of the queries of a failed attack."""
LITTLE = 0.1
"""A search adds nothing if less than this share of its successes comes after the early queries (by the upper end of
the interval), while at least this share of the attacked examples withstands it."""
CUT = 0.05
"""A budget is small if it stops at least this share of the attacked examples."""
MORE = 10
"""Factor between the query budget of a run and the suggested one."""
_STOPPED = ("budget", "time")


def query_budget(evidence: Evidence) -> Finding:
    """Carlini et al. 2019: the success rate must rise with the effort of an attack, and then level off.

    Flagged are searches that add nothing after their early queries (they are blind, as with masked gradients, or there
    is nothing to find), and budgets that stop many examples while their second half still brings successes, or that
    stop most failures: the rate then depends on the budget and not on the model.
    """
    finding = Finding("query_budget", "success rate over the query budget")
    for measured in evidence.measured:
        if not measured.searches:
            continue
        if measured.records:
            _first_few(finding, evidence, measured)
            _end_of_budget(finding, evidence, measured)
        elif any(measured.curve):
            _curve(finding, measured)
        else:
            finding.missing.append(f"{measured.label}: the numbers of queries of its examples are not on disk.")
    if not evidence.main.attacks:
        finding.missing.append("the run has no attack.")
    return finding


def _first_few(finding: Finding, evidence: Evidence, measured: MeasuredAttack) -> None:
    attacked = [one for one in measured.records if one.status != "skipped"]
    failed = [one.queries for one in attacked if one.status == "failed" and one.stop != "no_candidates"]
    won = [one.queries for one in attacked if one.status == "succeeded"]
    if not attacked or not failed or measured.described.get("max_changed") == 1:
        return
    queries_of_failures = statistics.median(failed)
    early = max(2, int(queries_of_failures // EARLY))
    late = sum(queries > early for queries in won)
    # Upper end of the interval of the share of late successes, of all attacked examples if there is no success.
    most = wilson_interval(late, len(won))[1] if won else wilson_interval(0, len(attacked))[1]
    blind = queries_of_failures >= 2 * early and most < LITTLE and len(failed) >= LITTLE * len(attacked)
    sentence = (
        f"{measured.label}: {late} of {len(won)} successes came after the first {early} queries (a failure takes "
        f"{queries_of_failures:.0f}); ASR {percent(ratio(len(won) - late, len(attacked)))} % within them, "
        f"{percent(ratio(len(won), len(attacked)))} % at the end, {len(attacked):,} attacked"
    )
    (finding.flags if blind else finding.observations).append(f"{sentence}{'; the search adds nothing' * blind}.")
    finding.numbers.append(
        {"attack": measured.label, "early": early, "spent": queries_of_failures, "late": late, "successes": len(won)}
    )
    if blind:
        finding.suggest(attack_command(evidence.main, [measured], "random", attack_ranking="random"))


def _end_of_budget(finding: Finding, evidence: Evidence, measured: MeasuredAttack) -> None:
    attacked = [one for one in measured.records if one.status != "skipped"]
    failed = [one for one in attacked if one.status == "failed"]
    cut = sum(one.stop in _STOPPED for one in failed)
    if not cut:
        return
    budget = measured.described.get("query_budget")
    late = _late(attacked, budget) if budget else 0
    small = cut >= CUT * len(attacked) and (late > 0 or 2 * cut >= len(failed))
    sentence = (
        f"{measured.label}: {cut} of {len(failed)} failures were stopped by the "
        f"{'budget' if budget else 'time limit'}"
        f"{f' of {budget:,} queries, {late} successes came in its second half' if budget else ''}, "
        f"{len(attacked):,} attacked"
    )
    (finding.flags if small else finding.observations).append(f"{sentence}{'; a larger one would find more' * small}.")
    finding.numbers.append(
        {"attack": measured.label, "cut": cut, "failed": len(failed), "late_in_budget": late, "budget": budget}
    )
    if small:
        larger: dict[str, Any] = {"attack_query_budget": MORE * budget} if budget else {"attack_time_limit": None}
        to = f"budget-{MORE * budget}" if budget else "no-time-limit"
        finding.suggest(attack_command(evidence.main, [measured], to, **larger))


def _late(attacked: Sequence[AttackRecord], budget: int) -> int:
    return sum(one.status == "succeeded" and one.queries > budget / 2 for one in attacked)


def _curve(finding: Finding, measured: MeasuredAttack) -> None:
    """Check the curve of the summary, for a folder without records; it does not say why searches stopped."""
    budgets, rates = measured.curve
    attacked = measured.result.get("num_attacked", 0)
    early = max(2, budgets[-1] // EARLY)
    first = max((rate for budget, rate in zip(budgets, rates, strict=True) if budget <= early), default=0.0)
    flat = rates[-1] - first <= 0 and wilson_interval(0, int(attacked))[1] < LITTLE
    finding.numbers.append({"attack": measured.label, "early": early, "first": first, "last": rates[-1]})
    sentence = (
        f"{measured.label}: ASR {percent(first)} % within {early:,} queries, {percent(rates[-1])} % within "
        f"{budgets[-1]:,}, {attacked:,.0f} attacked"
    )
    (finding.flags if flat else finding.observations).append(f"{sentence}{'; the search adds nothing' * flat}.")
