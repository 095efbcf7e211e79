"""Does an order of the words that the model's gradients or scores give beat a random one?"""

from __future__ import annotations

import json
import statistics
from itertools import combinations

from hf_robust.reports.cells import percent
from hf_robust.reports.compare import as_compared
from hf_robust.reports.sanity.commands import attack_command
from hf_robust.reports.sanity.evidence import Evidence, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.sanity.pairing import Compared, compare

RANDOM, SCORES, GRADIENT = "random", "scores", "gradient"
_TRUST = (RANDOM, SCORES, GRADIENT)
"""An order further right is informed by more, and must not find less."""
_NOT_THE_RECIPE = ("name", "ranking", "seed", "ranks_movable_only")


def gradient_masking(evidence: Evidence) -> Finding:
    """Athalye et al. 2018: where random search beats the gradient, the gradient is masked.

    The same attack in different orders of the words (``--attack_ranking``) is compared on the same examples: whole,
    and, of the orders that cost no query (random, gradient), within half of the queries that the better informed one
    takes, since a whole greedy search ends at much the same place in any order.
    """
    finding = Finding("gradient_masking", "random order against gradients and scores")
    ranked = [one for one in evidence.measured if one.searches and one.described.get("ranking")]
    for first, second in combinations(ranked, 2):
        if _recipe(first) != _recipe(second) or _kind(first) == _kind(second):
            continue
        blind, informed = sorted((first, second), key=lambda one: _TRUST.index(_kind(one)))
        _judge(finding, informed, blind, compare(informed, blind), "in all")
        if (_kind(blind), _kind(informed)) == (RANDOM, GRADIENT) and informed.records and blind.records:
            spent = [one.queries for one in informed.records if one.status != "skipped"]
            half = max(2, int(statistics.mean(spent) // 2)) if spent else 2
            _judge(finding, informed, blind, compare(informed, blind, budget=half), f"within {half} queries")
    if not finding.numbers:
        _suggest(finding, evidence, ranked)
    return finding


def _judge(
    finding: Finding, informed: MeasuredAttack, blind: MeasuredAttack, compared: Compared | None, where: str
) -> None:
    if compared is None:
        return
    masked = compared.is_rise
    said = (
        f"{blind.label} by {_kind(blind)} order against {informed.label} by {_kind(informed)} order, {where}: ASR "
        f"{percent(compared.second)} % against {percent(compared.first)} %, {compared.in_words()}"
    )
    (finding.flags if masked else finding.seen).append(f"{said}{'; what orders the words misleads' * masked}.")
    numbers = {"informed": informed.label, "blind": blind.label, "where": where}
    finding.numbers.append({**numbers, **compared.numbers()})


def _suggest(finding: Finding, evidence: Evidence, ranked: list[MeasuredAttack]) -> None:
    own = [one for one in ranked if one.main]
    if not own:
        finding.missing.append("no attack of the run ranks words.")
        return
    finding.missing.append(f"{own[0].name} was measured in one order of the words only.")
    for order in (RANDOM, GRADIENT):
        if _kind(own[0]) != order:
            finding.suggest(attack_command(evidence.main, own[:1], order, attack_ranking=order))


def _kind(measured: MeasuredAttack) -> str:
    ranking = str(measured.described["ranking"])
    return RANDOM if ranking == "at_random" else GRADIENT if ranking.startswith("by_gradient") else SCORES


def _recipe(measured: MeasuredAttack) -> str:
    parts = {key: value for key, value in measured.described.items() if key not in _NOT_THE_RECIPE}
    return json.dumps(as_compared(parts), sort_keys=True)
