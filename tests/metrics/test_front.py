"""The Pareto front of points."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.metrics import pareto_front

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
