"""The correction, the spread between seeds and the sizes of checks, on checks that the tests make."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.study import decide, voids
from benchmarks.study.paired import FAILS, HOLDS, OPEN, VOID
from benchmarks.study.power import Z

Row = dict[str, Any]


def check(value: float, half: float, **more: Any) -> Row:
    """A check that the value is above 0, with one seed and a symmetric interval."""
    verdict = HOLDS if value > half else FAILS if value < -half else OPEN
    row = {"claim": "C9", "text": f"above by {value}", "value": value, "low": value - half, "high": value + half}
    row |= {"above": 0.0, "below": None, "verdict": verdict, "why": "", "variance": None, "by_seed": [value]}
    return {**row, "quantity": "pwws", "examples": 400, "paper": None, "unit": "points", **more}


def decided(*rows: Row) -> list[Row]:
    return decide.decide({"experiment": list(rows)})["experiment"]


def test_one_check_is_not_corrected() -> None:
    (row,) = decided(check(2.0, 1.99))
    assert row["verdict"] == HOLDS and row["p"] == pytest.approx(math.erfc(2 * Z / 1.99 / math.sqrt(2)))
    assert (row["low"], row["high"]) == pytest.approx((0.01, 3.99))


def test_a_check_that_holds_alone_is_open_among_others() -> None:
    """p is 0.04 alone: Holm's method leaves it only as the last of its claim, after all others have been rejected."""
    half = Z / 2.0537  # p 0.04
    alone, *_ = decided(check(1.0, half))
    assert alone["verdict"] == HOLDS
    among, *_ = decided(check(1.0, half), check(0.0, 5.0), check(0.1, 5.0))
    assert among["verdict"] == OPEN and among["p"] == pytest.approx(0.12, abs=1e-3)
    last, *_ = decided(check(1.0, half), check(50.0, 1.0), check(-50.0, 1.0))
    assert last["verdict"] == HOLDS and last["p"] == pytest.approx(0.04, abs=1e-3)
    other_claim, *_ = decided(check(1.0, half), check(0.0, 5.0, claim="C10"))
    assert other_claim["verdict"] == HOLDS


@pytest.mark.parametrize(
    ("value", "half", "paper", "verdict"),
    [
        (0.3, 2.0, 10.0, FAILS),  # below 5 with its whole interval, and its sign is not shown
        (0.3, 6.0, 10.0, OPEN),  # the interval reaches half of what is printed
        (2.0, 1.0, 10.0, HOLDS),  # as small, but its sign is shown
        (-3.0, 2.0, 10.0, FAILS),
        (-1.0, 4.0, 10.0, FAILS),  # its sign alone would be open
        (0.3, 2.0, None, OPEN),
        (0.3, 2.0, -10.0, OPEN),  # the paper prints the reverse of what it says
        (6.0, 9.0, 10.0, OPEN),
    ],
)
def test_less_than_half_of_the_printed_effect_does_not_hold(
    value: float, half: float, paper: float | None, verdict: str
) -> None:
    (row,) = decided(check(value, half, paper=paper))
    assert row["verdict"] == verdict
    fall = check(-value, half, paper=None if paper is None else -paper, above=None, below=0.0)
    mirrored = decided({**fall, "verdict": {HOLDS: HOLDS, FAILS: FAILS}.get(check(value, half)["verdict"], OPEN)})
    assert mirrored[0]["verdict"] == verdict and mirrored[0]["p"] == pytest.approx(row["p"])


def test_half_of_the_printed_effect_counts_for_a_rise_or_fall_alone() -> None:
    """To keep accuracy within 1.6 is no effect: at -1.5 it is kept, however little the paper lost."""
    kept = check(-1.5, 0.05, paper=-0.8, above=-1.6, quantity="accuracy", verdict=HOLDS)
    between = check(0.1, 0.2, paper=4.0, above=-5.0, below=5.0, verdict=HOLDS)
    assert [row["verdict"] for row in decided(kept, between)] == [HOLDS, HOLDS]


@given(st.floats(-20, 20), st.floats(0.1, 10), st.floats(0.5, 20))
def test_of_both_tests_of_a_check_at_most_one_can_err(value: float, half: float, paper: float) -> None:
    """An interval below half of the printed effect and one above the limit are of disjoint sets of true effects."""
    (row,) = decided(check(value, half, paper=paper))
    if row["verdict"] == FAILS:
        assert value + half <= paper / 2 + 1e-9
    if row["verdict"] == HOLDS:
        assert value - half >= -1e-9


def test_the_reason_says_that_the_effect_is_smaller_than_printed() -> None:
    (row,) = decided(check(0.3, 2.0, paper=10.0, why="the interval is not wholly above 0; one seed"))
    assert row["why"] == "less than half of the printed effect, +10; p below 0.001 after correction"


def test_what_a_small_effect_needs_is_the_nearest_decision() -> None:
    """Nothing here and 10 printed: half of 10 is nearer to 0 than any sign is."""
    half = {"seeds": None, "rows": 100.0**2 * 0.1, "both": None}
    (row,) = decided(check(0.5, 7.0, paper=10.0, variance=half, examples=80))
    assert row["verdict"] == OPEN and row["needs"]["rows"] < 1000


def test_void_checks_and_checks_without_rows_are_not_counted() -> None:
    half = Z / 2.0537
    void = check(0.0, 5.0, verdict=VOID)
    collapse = check(0.05, 0.0, low=None, high=None, examples=400, verdict=HOLDS)
    seconds = check(3.0, 1.0, examples=None)
    rows = decided(check(1.0, half), void, collapse, seconds)
    assert [row["verdict"] for row in rows] == [HOLDS, VOID, HOLDS, HOLDS]
    assert [row["p"] for row in rows[1:]] == [None] * 3 and [row["needs"] for row in rows[1:]] == [None] * 3


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0.1, 10)), min_size=1, max_size=12))
def test_correction_only_takes_verdicts_away(numbers: list[tuple[float, float]]) -> None:
    rows = [check(value, half) for value, half in numbers]
    for before, after in zip(rows, decided(*rows), strict=True):
        assert after["verdict"] in (before["verdict"], OPEN)
        assert (after["verdict"] != OPEN) == (before["verdict"] != OPEN and after["p"] <= 0.05)


def test_the_spread_of_like_checks_widens_the_interval_of_one_seed() -> None:
    """Seeds that are 6 points apart have a variance of 18, which a check with one seed gets too."""
    several = check(10.0, 3.0, by_seed=[7.0, 13.0], variance={"seeds": 18.0, "rows": 900.0, "both": 0.0})
    one = check(9.0, 4.0, variance={"seeds": None, "rows": 1600.0, "both": None})
    accuracy = check(2.0, 1.0, quantity="accuracy", variance=None)
    spread, widened, other = decided(several, one, accuracy)
    assert spread["high"] - spread["value"] == pytest.approx(math.hypot(3.0, Z * math.sqrt(18 / 2)))
    assert widened["high"] - widened["value"] == pytest.approx(math.hypot(4.0, Z * math.sqrt(18)))
    assert other["high"] - other["value"] == pytest.approx(1.0)  # clean accuracy is another kind
    elsewhere = decide.decide({"a": [several], "b": [one]})["b"][0]
    assert elsewhere["high"] == pytest.approx(widened["high"])


def test_an_attack_with_enough_checks_has_a_spread_of_its_own() -> None:
    """Four checks of one attack with seeds that agree; those of another attack do not widen their intervals."""
    seeds = {"quiet": 0.0, "wild": 50.0}
    rows = [
        check(10.0, 3.0, by_seed=[9.0, 11.0], quantity=name, variance={"seeds": spread, "rows": 9.0, "both": 0.0})
        for name, spread in seeds.items()
        for _ in range(decide.LEAST_ALIKE)
    ]
    widths = {row["quantity"]: row["high"] - row["value"] for row in decided(*rows)}
    assert widths["quiet"] == pytest.approx(3.0)
    assert widths["wild"] == pytest.approx(math.hypot(3.0, Z * math.sqrt(50 / 2)))
    few = decided(*(row for row in rows if row["quantity"] == "wild"), rows[0])
    assert few[-1]["high"] - few[-1]["value"] == pytest.approx(math.hypot(3.0, Z * math.sqrt(40 / 2)))


def test_a_run_near_chance_lends_its_spread_to_none() -> None:
    wild = check(10.0, 3.0, by_seed=[-30.0, 50.0], verdict=VOID)
    _, row = decided(wild, check(9.0, 4.0))
    assert row["high"] == pytest.approx(13.0)


def test_one_seed_gets_the_share_of_what_is_left() -> None:
    own = decide.combined(check(1.0, 1.0, variance={"seeds": None, "rows": 800.0, "both": None}),
                          decide.Variance(2.0, 100.0, 300.0))  # fmt: skip
    assert own == decide.Variance(2.0, 200.0, 600.0)


def test_the_interval_counts_that_faces_the_limit() -> None:
    above = check(4.0, 1.0, low=3.0, high=20.0)
    below = check(4.0, 1.0, low=-20.0, high=5.0, above=None, below=6.0)
    between = check(4.0, 1.0, above=-5.0, below=5.0)
    assert decide.p_value(above) == pytest.approx(math.erfc(4 * Z / math.sqrt(2)))
    assert decide.p_value(below) == pytest.approx(math.erfc(2 * Z / math.sqrt(2)))
    assert decide.p_value(between) == pytest.approx(math.erfc(Z / math.sqrt(2)))
    assert decide.p_value(check(0.0, 1.0)) == 1.0 and decide.p_value(check(1.0, 0.0)) == 0.0


def variance(rows: float) -> dict[str, float | None]:
    return {"seeds": None, "rows": rows, "both": None}


@pytest.mark.parametrize(
    ("row", "effect_of"),
    [
        (check(1.0, 5.0, paper=3.0), decide.PAPER),
        (check(1.0, 5.0, printed=3.0), decide.ELSEWHERE),
        (check(1.0, 5.0), decide.HERE),
        (check(1.0, 5.0, paper=-3.0), decide.HERE),  # as printed the check would not hold
        (check(4.0, 5.0, paper=12.0), decide.HERE),  # as printed it would have been seen
        (check(-4.0, 5.0, paper=0.5), decide.HERE),  # decided sooner, on the other side
        (check(-0.1, 5.0, paper=5.0), decide.PAPER),
    ],
)
def test_the_effect_that_a_size_is_for(row: Row, effect_of: str) -> None:
    (found,) = decided({**row, "variance": variance(2500.0)})
    assert found["verdict"] == OPEN and found["effect_of"] == effect_of
    assert found["needs"]["rows"] * found["needs"]["seeds"] > 400


def test_the_effect_of_the_same_check_elsewhere_is_used() -> None:
    printed = check(1.0, 5.0, text="taichi above ada", paper=3.0)
    without = check(2.0, 5.0, text="taichi above ada")
    found = decide.decide({"sst2": [printed], "agnews": [without]})
    assert found["agnews"][0]["effect_of"] == decide.ELSEWHERE
    assert found["agnews"][0]["needs"] == found["sst2"][0]["needs"]


def test_more_checks_of_a_claim_need_more_rows() -> None:
    alone, *_ = decided(check(1.0, 5.0, paper=3.0))
    among, *_ = decided(check(1.0, 5.0, paper=3.0), *[check(0.0, 5.0)] * 9)
    assert among["needs"]["rows"] * among["needs"]["seeds"] > alone["needs"]["rows"] * alone["needs"]["seeds"]
    assert among["visible"] > alone["visible"]


def test_a_void_check_has_a_size_where_its_numbers_are_an_estimate() -> None:
    missing, chance, repeated = decided(
        *(check(4.0, 2.0, verdict=verdict) for verdict in (voids.NO_FROZEN, VOID, voids.REPEATED))
    )
    assert missing["needs"] and chance["needs"] is None and repeated["needs"] is None


def test_what_148_texts_can_show_at_all() -> None:
    """Where no outcome differs the interval is a point, but an effect e needs e % of them: e = f^2 (100 - e) / N."""
    (row,) = decided(check(0.0, 0.0, examples=148, variance=variance(0.0)))
    constant = (Z + 0.8416) ** 2 / 148
    assert row["visible"] == pytest.approx(100 * constant / (1 + constant), rel=1e-3) and row["needs"] is None
