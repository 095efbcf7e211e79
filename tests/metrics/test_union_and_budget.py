"""Union of attacks and rates by query budget on hand-made records, and the Pareto front."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_attack_records import record

from hf_robust.metrics import AttackSummary, asr_at_budget, pareto_front, union_of_attacks, wilson_interval
from hf_robust.metrics.budget import BUDGETS, budgets_up_to

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)
WAYS = st.tuples(st.booleans(), st.booleans())


def test_accuracy_and_success_rate() -> None:
    points = [(0.9, 0.6), (0.8, 0.2), (0.85, 0.7), (0.7, 0.2), (0.85, 0.3)]
    assert pareto_front(points, (True, False)) == [1, 4, 0]


@given(POINTS, WAYS)
def test_nothing_outside_beats_the_front_and_all_outside_is_beaten(
    points: list[tuple[int, int]], ways: tuple[bool, bool]
) -> None:
    def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
        gains = [(a - b) * (1 if more else -1) for a, b, more in zip(one, other, ways, strict=True)]
        return min(gains) >= 0 and max(gains) > 0

    front = pareto_front(points, ways)
    for index, point in enumerate(points):
        assert (index in front) == (not any(beats(other, point) for other in points))
    firsts = [points[index][0] for index in front]
    assert firsts == sorted(firsts, reverse=not ways[0])


def test_no_number_no_place_and_equal_points_share_one() -> None:
    assert pareto_front([(math.nan, 1.0), (0.5, 0.5), (0.5, 0.5)], (True, True)) == [1, 2]
    assert pareto_front([], (True, True)) == []


def test_every_point_has_as_many_quantities_as_there_are_directions() -> None:
    with pytest.raises(ValueError, match="a point needs 2 quantities, as many as directions, got 3"):
        pareto_front([(1, 2, 3)], (True, True))


STATUSES = ("succeeded", "failed", "skipped")


def test_an_example_is_robust_where_every_attack_failed():
    first = [record(index, status) for index, status in enumerate(["failed", "failed", "succeeded", "skipped"])]
    second = [record(index, status) for index, status in enumerate(["failed", "succeeded", "failed", "skipped"])]
    union = union_of_attacks({"a": first, "b": second})
    assert (union.attacks, union.num_examples, union.num_robust) == (("a", "b"), 4, 1)
    assert union.robust_accuracy == 0.25 and union.interval == wilson_interval(1, 4)
    low, high = wilson_interval(1, 4)
    assert union.metrics() == {
        "union_robust_accuracy": 0.25,
        "union_robust_accuracy_low": low,
        "union_robust_accuracy_high": high,
        "union_num_examples": 4,
    }
    assert union.history()["attacks"] == ["a", "b"] and union.history()["robust_accuracy"] == 0.25


def test_attacks_that_want_the_prediction_to_stay_take_no_part():
    fickle = [record(0, "failed"), record(1, "failed")]
    obstinate = [record(0, "succeeded", remains=True), record(1, "succeeded", remains=True)]
    assert union_of_attacks({"a": fickle, "antonym": obstinate}) is None
    union = union_of_attacks({"a": fickle, "antonym": obstinate, "b": fickle})
    assert union.attacks == ("a", "b") and union.robust_accuracy == 1.0
    assert union_of_attacks({"a": fickle}) is None and union_of_attacks({}) is None


def test_only_examples_that_every_attack_was_given_count():
    first = [record(0, "failed"), record(1, "failed"), record(2, "succeeded")]
    union = union_of_attacks({"a": first, "b": [record(1, "failed"), record(2, "failed"), record(3, "failed")]})
    assert (union.num_examples, union.num_robust) == (2, 1)
    other_text = [record(0, "failed", original=["another"]), record(1, "failed", label=0)]
    union = union_of_attacks({"a": first, "b": other_text})
    assert union.num_examples == 0 and math.isnan(union.robust_accuracy)


rows = st.lists(st.lists(st.sampled_from(STATUSES), min_size=2, max_size=2), min_size=1, max_size=20)


@given(rows)
def test_a_union_is_never_above_its_parts(pairs):
    records = {name: [record(i, pair[place]) for i, pair in enumerate(pairs)] for place, name in enumerate("ab")}
    union = union_of_attacks(records)
    parts = [AttackSummary.from_records(found).robust_accuracy for found in records.values()]
    assert sum(parts) - 1 - 1e-9 <= union.robust_accuracy <= min(parts)
    same = union_of_attacks({"a": records["a"], "b": records["a"]})
    assert same.robust_accuracy == parts[0]


def test_asr_by_hand():
    found = [record(0, "succeeded", queries=3), record(1, "succeeded", queries=10), record(2, "failed", queries=4)]
    found.append(record(3, "skipped", queries=1))
    assert asr_at_budget(found, [1, 2, 3, 9, 10, 1000]) == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert math.isnan(asr_at_budget([record(0, "skipped")], [5])[0])
    with pytest.raises(ValueError, match="at least 1 .*, got 0"):
        asr_at_budget(found, [5, 0])


@given(st.lists(st.tuples(st.sampled_from(STATUSES), st.integers(1, 50)), min_size=1))
def test_the_curve_rises_to_the_asr(outcomes):
    found = [record(index, status, queries=queries) for index, (status, queries) in enumerate(outcomes)]
    rates = asr_at_budget(found, range(1, 51))
    summary = AttackSummary.from_records(found)
    if not summary.num_attacked:
        assert all(map(math.isnan, rates)) and budgets_up_to(found) == []
        return
    assert rates == sorted(rates) and rates[-1] == pytest.approx(summary.asr)
    grid = budgets_up_to(found)
    assert grid == sorted(set(grid)) and set(grid[:-1]) <= set(BUDGETS)
    assert asr_at_budget(found, grid)[-1] == pytest.approx(summary.asr)
