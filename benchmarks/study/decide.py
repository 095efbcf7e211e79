"""What the checks of a claim come to: intervals over rows and seeds, a correction for their number, and power.

1. The interval of a check is widened by the spread between seeds. Two or three seeds estimate a variance badly, so
   it is pooled over the checks of an experiment that are alike (of the same attack where there are enough), and over
   those of the family where none has several seeds.
2. The checks of one claim are corrected by Holm's method at 5 %: a claim is refuted by a single check that fails, so
   the chance that any of them is wrong must be bounded, and the checks are dependent, since they share runs and
   texts. A check whose corrected p is above 5 % is *not decidable here*. Void checks are not counted.
   A claimed rise or fall whose size the paper prints for the same data *does not hold* if it is less than half of that
   size, and its sign is not shown either. No number of rows refutes the sign of an effect that is nearly zero; half of
   the printed size is what a replication must be able to tell from nothing (Simonsohn 2015, "Small telescopes", takes
   the effect that the original would have seen a third of the time). At most one of both tests can err for a check.
3. Each check gets the size at which the paper's effect as printed would be seen with 80 % power at Holm's strictest
   level, 5 % divided by the number of checks (`benchmarks.study.power`). Where the paper prints none for this data
   set, it is the one for another (``printed``, or that of the same check elsewhere). Where it prints none at all, or
   where its effect would have been seen here and was not, the effect is the one measured here; also where this one
   lies on the other side of the limit and is decided by fewer rows and seeds.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.study.paired import ACCURACY, FAILS, OPEN, VOID
from benchmarks.study.power import LEVEL, Size, Variance, Z, needed, visible
from benchmarks.study.voids import REPEATED, is_void
from hf_robust.metrics.paired import holm

Row = dict[str, Any]
PAPER, ELSEWHERE, HERE = "paper", "elsewhere", "here"
EFFECTS = {PAPER: "as printed", ELSEWHERE: "as printed for other data", HERE: "as measured"}
"""Where the effect that sizes are for comes from, in words."""
OUTCOMES = "attack"
"""Kind of the checks whose differences are of outcomes 0 and 1."""
LEAST_P, ROUNDS = 0.001, 50
LEAST_ALIKE = 4
"""Number of checks of one attack from which its spread is estimated apart from that of other attacks."""
NO_ESTIMATE = (VOID, REPEATED)
"""Void checks whose numbers are no estimate of anything, or of nothing new."""


def decide(by_experiment: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    """The checks of a family of claims, by experiment, with intervals over seeds, verdicts and sizes."""
    spreads = pooled(by_experiment)
    wide = {name: [widened(row, name, spreads) for row in rows] for name, rows in by_experiment.items()}
    elsewhere = {row["text"]: row["paper"] for rows in wide.values() for row in rows if is_number(row.get("paper"))}
    corrected = correction(row for rows in wide.values() for row in rows)
    return {
        name: [
            judged({"printed": elsewhere.get(row["text"]), **row}, *corrected.get(id(row), (None, LEVEL)))
            for row in rows
        ]
        for name, rows in wide.items()
    }


def is_number(value: Any) -> bool:
    """Whether a printed effect is a number."""
    return isinstance(value, (int, float))


def decide_claims(parts: Mapping[str, dict[str, list[Row]]]) -> dict[str, dict[str, list[Row]]]:
    """The same for experiments that keep their checks under ``claims`` beside other differences."""
    decided = decide({name: rows["claims"] for name, rows in parts.items()})
    return {name: {**rows, "claims": decided[name]} for name, rows in parts.items()}


def tested(row: Row) -> bool:
    """Whether a check is a difference over rows with an interval; collapses and ranges of seconds are not."""
    return row["low"] is not None and bool(row.get("examples")) and row.get("verdict") != "not run"


def kind(row: Row) -> str:
    """Quantities whose spread between seeds is pooled."""
    if ACCURACY in row["quantity"]:
        return ACCURACY
    alone = ("KT", "TI-5", "kl_pos", "distance", "transition", "correlation", "relative error")
    return row["quantity"] if row["quantity"] in alone else OUTCOMES


# ---- variances ----


Spreads = dict[tuple[str, str], Variance]


def pooled(by_experiment: Mapping[str, Sequence[Row]]) -> Spreads:
    """(experiment, kind) -> mean variance of the checks with several seeds; the experiment "" stands for all.

    Also (experiment, attack), if enough checks are of this attack: attacks differ in the spread of their rates.
    """
    found: dict[tuple[str, str], list[Variance]] = defaultdict(list)
    for name, rows in by_experiment.items():
        for row in rows:
            if tested(row) and len(row["by_seed"]) > 1 and row["verdict"] not in NO_ESTIMATE:
                for place in {(name, kind(row)), ("", kind(row)), (name, row["quantity"])}:
                    found[place].append(measured(row))
    kinds = {kind(row) for rows in by_experiment.values() for row in rows if tested(row)}
    return {
        place: mean_of(variances)
        for place, variances in found.items()
        if place[1] in kinds or len(variances) >= LEAST_ALIKE
    }


def mean_of(variances: Sequence[Variance]) -> Variance:
    """Mean of each variance."""
    means = [statistics.mean(getattr(v, name) or 0.0 for v in variances) for name in ("seeds", "rows", "both")]
    return Variance(max(means[0], 0.0), means[1], means[2])


def measured(row: Row) -> Variance:
    """Variances of a check's outcomes; those of its interval and of its values by seed where it has none."""
    if row.get("variance"):
        return Variance(**row["variance"])
    half = (row["high"] - row["low"]) / (2 * Z)
    seeds = statistics.variance(row["by_seed"]) if len(row["by_seed"]) > 1 else None
    return Variance(seeds, half**2 * row["examples"], 0.0 if seeds is not None else None)


def combined(row: Row, alike: Variance | None) -> Variance:
    """Variances of a check with the pooled spread; with one seed the pooled share of what is left."""
    own = measured(row)
    if alike is None:
        return own
    if own.both is not None or not row.get("variance"):
        return Variance(alike.seeds, own.rows, own.both or 0.0)
    whole = alike.rows + (alike.both or 0.0)
    share = (alike.both or 0.0) / whole if whole else 0.0
    return Variance(alike.seeds, own.rows * (1 - share), own.rows * share)


def widened(row: Row, experiment: str, spreads: Spreads) -> Row:
    """The row with its interval over seeds too: half-widths and the spread add as squares."""
    if not tested(row):
        return {**row, "variance": None}
    places = ((experiment, row["quantity"]), (experiment, kind(row)), ("", kind(row)))
    variance = combined(row, next((spreads[place] for place in places if place in spreads), None))
    between = Z * math.sqrt((variance.seeds or 0.0) / max(len(row["by_seed"]), 1))
    low, high = (
        row["value"] + side * math.hypot(row[end] - row["value"], between) for side, end in ((-1, "low"), (1, "high"))
    )
    return {**row, "low": low, "high": high, "variance": variance}


# ---- verdicts ----


def distance(row: Row, value: float) -> float:
    """How far a value lies from what it must be told from: the limit, or half of the printed effect above it."""
    half = half_printed(row)
    from_limit = margin(row, value)
    return abs(from_limit) if half is None else max(abs(from_limit), abs(half) - from_limit)


def margin(row: Row, value: float) -> float:
    """Signed distance of a value from the nearest limit of the claim; positive on the claim's side."""
    above, below = row["above"], row["below"]
    return min(
        math.inf if above is None else value - above,
        math.inf if below is None else below - value,
    )


def p_value(row: Row) -> float:
    """Two-sided p that the value is not apart from the nearest limit, or from half of the printed effect."""
    half = half_printed(row)
    return p_of_limit(row) if half is None or not is_small(row) else p_apart(row, half)


def p_of_limit(row: Row) -> float:
    """Two-sided p that the value is not apart from the nearest limit."""
    above, below, distance = row["above"], row["below"], margin(row, row["value"])
    limit = above if below is None or (above is not None and row["value"] - above == distance) else below
    return p_apart(row, limit)


def p_apart(row: Row, limit: float) -> float:
    """Two-sided p that the value is not apart from a limit, by the half of the interval that faces it."""
    distance = abs(row["value"] - limit)
    if not distance:
        return 1.0
    half = row["value"] - row["low"] if limit < row["value"] else row["high"] - row["value"]
    return math.erfc(distance * Z / (half * math.sqrt(2))) if half > 0 else 0.0


def half_printed(row: Row) -> float | None:
    """Half of the effect that the paper prints for this data set; None without one, or if it is no rise or fall."""
    limit = {row["above"], row["below"]} - {None}
    printed = row.get("paper")
    return printed / 2 if limit == {0.0} and is_number(printed) and margin(row, printed) > 0 else None


def is_small(row: Row) -> bool:
    """Whether the value is below half of the printed effect, and its sign is not that of the claim beyond doubt."""
    half, value = half_printed(row), margin(row, row["value"])
    return half is not None and value < abs(half) and (value <= 0 or p_of_limit(row) > LEVEL)


def correction(rows: Iterable[Row]) -> dict[int, tuple[float, float]]:
    """id of each counted row -> its p corrected over the checks of its claim, and Holm's strictest level."""
    by_claim: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if tested(row) and not is_void(row["verdict"]):
            by_claim[row["claim"]].append(row)
    return {
        id(row): (p, LEVEL / len(of_claim))
        for of_claim in by_claim.values()
        for row, p in zip(of_claim, holm([p_value(row) for row in of_claim]), strict=True)
    }


def judged(row: Row, p: float | None, level: float) -> Row:
    """The row with its corrected p, its verdict after correction, and the sizes that power asks for."""
    verdict, why = row["verdict"], row.get("why")
    if p is not None:
        small = is_small(row)
        verdict = OPEN if p > LEVEL else FAILS if small else verdict
        if small and why and p <= LEVEL:
            why = f"less than half of the printed effect, {row['paper']:+g}"
        why = f"{why}; {p_in_words(p)} after correction" if why else why
    decided = {**row, "verdict": verdict, "p": p, **({"why": why} if why else {})}
    variance = decided.pop("variance", None)
    if variance is None or row["verdict"] in NO_ESTIMATE:
        return {**decided, "needs": None, "effect_of": None, "visible": None}
    return {**decided, **sizes(decided, variance, level)}


def smallest_seen(row: Row, variance: Variance, size: Size, level: float, sides: int) -> float:
    """The smallest distance from the limit that is seen, with the variance that outcomes have at this distance."""
    smallest = visible(variance, size, level, sides)
    for _ in range(ROUNDS if kind(row) == OUTCOMES else 0):
        smallest = visible(variance.for_effect(smallest or 1.0), size, level, sides)
    return smallest


def p_in_words(p: float) -> str:
    """A p value in two digits; a small one as a bound, since its digits say nothing."""
    return f"p {p:.2g}" if p >= LEAST_P else f"p below {LEAST_P:g}"


def sizes(row: Row, variance: Variance, level: float) -> Row:
    """``visible``, the effect that this size shows; ``needs``, the rows and seeds for the effect of ``effect_of``."""
    size, sides = Size(row["examples"], max(len(row["by_seed"]), 1)), 2 - (None in (row["above"], row["below"]))
    options = []
    printed = PAPER if is_number(row.get("paper")) else ELSEWHERE
    for effect_of, value in ((printed, row["paper"] if printed == PAPER else row["printed"]), (HERE, row["value"])):
        if not is_number(value) or (effect_of != HERE and margin(row, value) <= 0):
            continue
        if effect_of == HERE and options and margin(row, value) >= 0:
            continue
        under = variance.for_effect(value) if kind(row) == OUTCOMES else variance
        enough = needed(under, distance(row, value), size, level, sides)
        seen = enough is not None and enough.rows <= size.rows and enough.seeds <= size.seeds
        if enough is not None and not (row["verdict"] == OPEN and seen):
            options.append((enough.rows * enough.seeds, effect_of, enough))
    fields: Row = {"visible": smallest_seen(row, variance, size, level, sides), "effect_of": None, "needs": None}
    if options:
        _, effect_of, enough = min(options, key=lambda option: option[0])
        fields |= {"effect_of": effect_of, "needs": asdict(enough)}
    return fields
