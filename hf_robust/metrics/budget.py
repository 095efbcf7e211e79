"""Attack success rate as a function of the query budget, computed from the recorded queries of one attack."""

from __future__ import annotations

from collections.abc import Sequence

from hf_robust.metrics.rates import ratio
from hf_robust.metrics.records import AttackRecord

BUDGETS = tuple(step * 10**power for power in range(5) for step in (1, 2, 5))
"""Budgets at which curves are stored: 1, 2, 5, 10, ... 50,000 queries."""


def asr_at_budget(records: Sequence[AttackRecord], budgets: Sequence[int]) -> list[float]:
    """``S(b) / (S + F)`` for each budget b, where S(b) counts the successes that took at most b queries.

    A search does the same up to its b-th query whatever its budget, so an attack with budget b succeeds on every
    example counted here. The converse holds for searches that query one text at a time. A search that queries all
    substitutes of a word together scores only the first ones if the budget ends within such a list. It may succeed
    there, while the unbounded attack counts the success only with the whole list. The curve is then a lower bound; the
    error is at most the number of examples that end within a list. Above the attack's own budget the curve is constant
    and again a lower bound. Queries include the clean text, as in ``--attack_query_budget``. The rate is nan if no
    example was attacked.

    >>> def record(status, queries):
    ...     return AttackRecord(0, 0, status, [""], [""], [], queries, 0, 0, 1.0, 1.0, "", 0)
    >>> asr_at_budget([record("succeeded", 5), record("succeeded", 9), record("failed", 7)], [4, 5, 100])
    [0.0, 0.3333333333333333, 0.6666666666666666]

    Raises:
        ValueError: a budget is below 1.
    """
    if any(budget < 1 for budget in budgets):
        raise ValueError(f"a budget must be at least 1 (the clean text is query 1), got {min(budgets)}.")
    attacked = sum(record.status != "skipped" for record in records)
    successes = [record.queries for record in records if record.status == "succeeded"]
    return [ratio(sum(queries <= budget for queries in successes), attacked) for budget in budgets]


def budgets_up_to(records: Sequence[AttackRecord]) -> list[int]:
    """The BUDGETS below the largest number of queries of an example, and that number; empty without records."""
    most = max((record.queries for record in records if record.status != "skipped"), default=0)
    return [budget for budget in BUDGETS if budget < most] + [most] * (most > 0)
