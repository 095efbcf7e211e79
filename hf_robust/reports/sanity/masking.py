"""Check for gradient masking: does a word order by gradients or scores find more than a random one?"""

from __future__ import annotations

import json
import statistics
from itertools import combinations
from typing import Any

from hf_robust.reports.cells import percent
from hf_robust.reports.compare import as_compared
from hf_robust.reports.sanity.commands import attack_command
from hf_robust.reports.sanity.evidence import Evidence, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.sanity.pairing import Compared, compare

RANDOM, SCORES, GRADIENT = "random", "scores", "gradient"
_BY_INFORMATION = (RANDOM, SCORES, GRADIENT)
"""Word orders from the least to the most informed; a more informed order must not find less."""
_NOT_THE_RECIPE = ("name", "ranking", "seed", "ranks_movable_only")


def gradient_masking(evidence: Evidence) -> Finding:
    """Athalye et al. 2018: if a random search beats the gradient, the gradient is masked.

    Compares the same attack with different word orders (``--attack_ranking``) on the same examples. The orders that
    cost no query (random, gradient) are also compared within half of the queries that the informed one takes, since a
    complete greedy search ends at much the same result in any order.
    """
    finding = Finding("gradient_masking", "gradient masking: random word order against gradients and scores")
    ranked = [one for one in evidence.measured if one.searches and _ranking(one)]
    for first, second in combinations(ranked, 2):
        if _recipe(first) != _recipe(second) or _kind(first) == _kind(second):
            continue
        blind, informed = sorted((first, second), key=lambda one: _BY_INFORMATION.index(_kind(one)))
        _judge(finding, informed, blind, compare(informed, blind), "with all queries")
        if (_kind(blind), _kind(informed)) == (RANDOM, GRADIENT) and informed.records and blind.records:
            queries = [one.queries for one in informed.records if one.status != "skipped"]
            half = max(2, int(statistics.mean(queries) // 2)) if queries else 2
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
    sentence = (
        f"{blind.label} with {_kind(blind)} word order against {informed.label} with {_kind(informed)} word order, "
        f"{where}: ASR {percent(compared.second)} % against {percent(compared.first)} %, {compared.in_words()}"
    )
    if masked:
        finding.flags.append(f"{sentence}; the {_kind(informed)} word order misleads the search.")
    else:
        finding.observations.append(f"{sentence}.")
    numbers = {"informed": informed.label, "blind": blind.label, "where": where}
    finding.numbers.append({**numbers, **compared.numbers()})


def _suggest(finding: Finding, evidence: Evidence, ranked: list[MeasuredAttack]) -> None:
    main_attacks = [one for one in ranked if one.main]
    if not main_attacks:
        finding.missing.append("the run has no attack that ranks words.")
        return
    finding.missing.append(f"{main_attacks[0].name} was measured with one word order only.")
    for order in (RANDOM, GRADIENT):
        if _kind(main_attacks[0]) != order:
            finding.suggest(attack_command(evidence.main, main_attacks[:1], order, attack_ranking=order))


def _kind(measured: MeasuredAttack) -> str:
    ranking = _ranking(measured)
    return RANDOM if ranking == "at_random" else GRADIENT if ranking.startswith("by_gradient") else SCORES


def _ranking(measured: MeasuredAttack) -> str:
    """What orders the words, or draws the tokens of a suffix (gcg); "" for an attack that does neither."""
    return str(measured.described.get("ranking") or _candidates(measured).get("ranking") or "")


def _candidates(measured: MeasuredAttack) -> dict[str, Any]:
    return dict(measured.described.get("candidates") or {})


def _recipe(measured: MeasuredAttack) -> str:
    parts = {key: value for key, value in measured.described.items() if key not in _NOT_THE_RECIPE}
    parts["candidates"] = {key: value for key, value in _candidates(measured).items() if key != "ranking"}
    return json.dumps(as_compared(parts), sort_keys=True)
