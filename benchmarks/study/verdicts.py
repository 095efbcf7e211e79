"""The verdict on a claim: holds, does not hold, or not decidable here with the rows and seeds it would take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.study.decide import EFFECTS
from benchmarks.study.paired import FAILS, HOLDS, OPEN
from benchmarks.study.titles import title
from benchmarks.study.voids import ASIDE, REPEATED, is_void, void_reasons

NOT_RUN = "not run"
Check = dict[str, Any]
NAMED = 3
"""Maximum number of checks that the reason of a verdict names."""
MANY = 100_000
"""Rows above which a number only says that no data set is large enough."""


class Verdict(NamedTuple):
    """The verdict on a claim, its reason in counts, and the check that would decide it at the least cost."""

    verdict: str
    why: str
    needs: dict[str, Any] | None


def verdict_of(checks: Sequence[Check]) -> Verdict:
    """The verdict on a claim from its checks, which are corrected for their number (`benchmarks.study.decide`).

    *does not hold*: a check fails. The papers state their claims without exception, and the correction bounds the
    chance that any of the failures is one by chance. *holds*: no check fails, and each part of the claim (``part``, by
    default the measured quantity) has a check that holds. *not decidable here*: all other cases.
    """
    if not checks:
        return Verdict(NOT_RUN, "nothing was run for it", None)
    counts = Counter(row["verdict"] for row in checks)
    why = counts_in_words(counts)
    if counts[FAILS]:
        return Verdict(FAILS, f"{why}: {failing_checks(checks)}", None)
    missing = parts_not_shown(checks)
    if counts[HOLDS] and not missing:
        return Verdict(HOLDS, why, None)
    why += f"; not shown: {first_few(missing)}" if counts[HOLDS] else ""
    cheapest = least_cost(checks, missing)
    return Verdict(OPEN, f"{why}; {cost_in_words(cheapest)}", cheapest)


def part_of(row: Check) -> str:
    """The part of the claim that a check is about."""
    return str(row.get("part") or row["quantity"])


def parts_not_shown(checks: Sequence[Check]) -> list[str]:
    """The parts of a claim without any check that holds."""
    parts: dict[str, list[str]] = {}
    for row in checks:
        if part_of(row) != ASIDE and row["verdict"] != REPEATED:
            parts.setdefault(part_of(row), []).append(row["verdict"])
    return [part for part, verdicts in parts.items() if HOLDS not in verdicts]


def least_cost(checks: Sequence[Check], parts: Sequence[str]) -> dict[str, Any] | None:
    """Of the parts not shown, each by its check of fewest rows times seeds, the dearest; None without a number."""
    cheapest = []
    for part in parts:
        rows = [row for row in checks if part_of(row) == part and row.get("needs")]
        if rows:
            cheapest.append(min(rows, key=cost))
    if not cheapest:
        return None
    dearest = max(cheapest, key=cost)
    keys = ("text", "experiment", "needs", "effect_of", "verdict")
    return {key: dearest[key] for key in keys}


def cost(row: Check) -> int:
    """Rows times seeds that a check needs."""
    return int(row["needs"]["rows"] * row["needs"]["seeds"])


def cost_in_words(cheapest: dict[str, Any] | None) -> str:
    """What it would take, as a clause."""
    if cheapest is None:
        return "no number of rows decides it: none of its checks has an estimate"
    effect = EFFECTS[cheapest["effect_of"]]
    void = cheapest["verdict"].removeprefix("void: ") if is_void(cheapest["verdict"]) else ""
    control = f", and what is missing ({void})" if void else ""
    where = f"{cheapest['text']}, {title(cheapest['experiment'])}, effect {effect}"
    return f"it takes {size_in_words(cheapest['needs'])}{control} ({where})"


def size_in_words(needs: dict[str, int]) -> str:
    """Rows and seeds in words."""
    rows = f"more than {MANY:,}" if needs["rows"] > MANY else f"{needs['rows']:,}"
    return f"{rows} rows and {needs['seeds']} seed{'s' * (needs['seeds'] != 1)}"


def counts_in_words(counts: Counter[str]) -> str:
    """Number of checks by verdict, in words."""
    words = ((HOLDS, "holds", "hold"), (FAILS, "fails", "fail"), (OPEN, OPEN, OPEN))
    phrases = [
        f"{counts[name]} {singular if counts[name] == 1 else plural}"
        for name, singular, plural in words
        if counts[name]
    ]
    phrases += filter(None, [void_reasons(counts.elements())])
    total = counts.total()
    return f"of {total} check{'s' * (total != 1)} {', '.join(phrases)}"


def failing_checks(checks: Sequence[Check]) -> str:
    """The first failing checks, with their experiments."""
    names = [f"{row['text']} ({title(row['experiment'])})" for row in checks if row["verdict"] == FAILS]
    return f"not so: {first_few(names)}"


def first_few(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    rest = len(names) - NAMED
    return "; ".join(names[:NAMED]) + (f"; and {rest} more" if rest > 0 else "")
