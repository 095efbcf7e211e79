"""Attack success rate against the query budget, from the queries that one attack recorded."""

from __future__ import annotations

from collections.abc import Sequence

from hf_robust.metrics.rates import ratio
from hf_robust.metrics.records import AttackRecord

BUDGETS = tuple(step * 10**power for power in range(5) for step in (1, 2, 5))
"""Budgets at which a curve is written down: 1, 2, 5, 10, ... 50,000 queries."""


def asr_at_budget(records: Sequence[AttackRecord], budgets: Sequence[int]) -> list[float]:
    """``S(b) / (S + F)`` for each budget b, where S(b) counts the successes that took at most b queries.

    A search does the same things up to its b-th query whatever its budget, so an attack run with budget b succeeds on
    every example counted here. The converse holds for a search that asks for one text at a time. One that asks for
    all substitutes of a word together scores, where the budget ends within such a list, its beginning, and may find
    in it a success that the unbounded attack counted only with the whole list: the curve is then a lower bound, off by
    at most the examples that end within a list. The records' own attack must have had no smaller budget than b: above
    its own budget the curve stays level and is again a lower bound. Queries include the clean text, as
    ``--attack_query_budget`` does. nan where nothing was attacked.

    >>> def found(status, queries):
    ...     return AttackRecord(0, 0, status, [""], [""], [], queries, 0, 0, 1.0, 1.0, "", 0)
    >>> asr_at_budget([found("succeeded", 5), found("succeeded", 9), found("failed", 7)], [4, 5, 100])
    [0.0, 0.3333333333333333, 0.6666666666666666]

    Raises:
        ValueError: a budget is below 1.
    """
    if any(budget < 1 for budget in budgets):
        raise ValueError(f"a budget must be at least 1 (the clean text is query 1), got {min(budgets)}.")
    attacked = [record for record in records if record.status != "skipped"]
    spent = [record.queries for record in attacked if record.status == "succeeded"]
    return [ratio(sum(queries <= budget for queries in spent), len(attacked)) for budget in budgets]


def budgets_up_to(records: Sequence[AttackRecord]) -> list[int]:
    """Those of BUDGETS below the most queries that any example took, and that number itself; none without records."""
    most = max((record.queries for record in records if record.status != "skipped"), default=0)
    return [budget for budget in BUDGETS if budget < most] + [most] * (most > 0)
