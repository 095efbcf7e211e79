"""Does success rise with the query budget, and has it stopped rising where the budget ends?"""

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
"""The first few queries are a tenth of what a failure takes."""
LITTLE = 0.1
"""A search adds nothing where the successes after its first few queries are surely less than this share of all, while
at least this share of the attacked withstands it."""
CUT = 0.05
"""A budget is small where it stops this share of the attacked examples."""
MORE = 10
"""By how much a larger budget is larger."""
_STOPPED = ("budget", "time")


def query_budget(evidence: Evidence) -> Finding:
    """Carlini et al. 2019: success must rise with the work an attack may do, and then level off.

    Flagged where the whole search adds nothing to its first few queries (the search is blind, as where gradients are
    masked, or nothing can be found at all), and where a budget still cuts many examples short while its second half
    brings successes, or cuts short most of what failed (the rate is one of the budget, not of the model).
    """
    finding = Finding("query_budget", "success against the query budget")
    for measured in evidence.measured:
        if not measured.searches:
            continue
        if measured.records:
            _first_few(finding, evidence, measured)
            _end_of_budget(finding, evidence, measured)
        elif any(measured.curve):
            _curve(finding, measured)
        else:
            finding.missing.append(f"{measured.label}: the queries of its examples were not kept.")
    if not evidence.main.attacks:
        finding.missing.append("the run has no attack.")
    return finding


def _first_few(finding: Finding, evidence: Evidence, measured: MeasuredAttack) -> None:
    attacked = [one for one in measured.records if one.status != "skipped"]
    failed = [one.queries for one in attacked if one.status == "failed" and one.stop != "no_candidates"]
    won = [one.queries for one in attacked if one.status == "succeeded"]
    if not attacked or not failed or measured.described.get("max_changed") == 1:
        return
    spent = statistics.median(failed)
    early = max(2, int(spent // EARLY))
    late = sum(queries > early for queries in won)
    # Surely little: the upper end of the interval, of all successes, or of the attacked where there is none.
    most = wilson_interval(late, len(won))[1] if won else wilson_interval(0, len(attacked))[1]
    blind = spent >= 2 * early and most < LITTLE and len(failed) >= LITTLE * len(attacked)
    said = (
        f"{measured.label}: {late} of {len(won)} successes came after the first {early} queries, where a failure "
        f"takes {spent:.0f}; ASR {percent(ratio(len(won) - late, len(attacked)))} % there, "
        f"{percent(ratio(len(won), len(attacked)))} % at the end, {len(attacked):,} attacked"
    )
    (finding.flags if blind else finding.seen).append(f"{said}{'; the search adds nothing' * blind}.")
    finding.numbers.append(
        {"attack": measured.label, "early": early, "spent": spent, "late": late, "successes": len(won)}
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
    said = (
        f"{measured.label}: {cut} of {len(failed)} failures stopped for the {'budget' if budget else 'time limit'}"
        f"{f' of {budget:,} queries, {late} successes in its second half' if budget else ''}, "
        f"{len(attacked):,} attacked"
    )
    (finding.flags if small else finding.seen).append(f"{said}{'; a larger one finds more' * small}.")
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
    """Without records the summary's curve still shows whether success rose; why searches stopped is not in it."""
    budgets, rates = measured.curve
    attacked = measured.result.get("num_attacked", 0)
    early = max(2, budgets[-1] // EARLY)
    first = max((rate for budget, rate in zip(budgets, rates, strict=True) if budget <= early), default=0.0)
    flat = rates[-1] - first <= 0 and wilson_interval(0, int(attacked))[1] < LITTLE
    finding.numbers.append({"attack": measured.label, "early": early, "first": first, "last": rates[-1]})
    said = (
        f"{measured.label}: ASR {percent(first)} % within {early:,} queries, {percent(rates[-1])} % within "
        f"{budgets[-1]:,}, {attacked:,.0f} attacked"
    )
    (finding.flags if flat else finding.seen).append(f"{said}{'; the search adds nothing' * flat}.")
