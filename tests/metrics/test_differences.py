"""Paired differences: computed by hand, and against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.metrics.guessing import least_accuracy
from hf_robust.metrics.paired import Difference, examples_needed, paired_difference, rates, robust

NONE = math.nan


def test_rates_by_hand() -> None:
    seen = np.array([[1.0, 0.0, 0.0, NONE], [NONE] * 4])
    assert rates(seen)[0] == pytest.approx(1 / 3) and math.isnan(rates(seen)[1])
    assert robust(seen).tolist() == [0.5, 0.0]


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=2, max_size=30))
def test_a_difference_turns_its_sign_with_its_sides_and_is_0_between_equals(pairs: list[tuple[float, float]]) -> None:
    first, second = (np.array([side]) for side in zip(*pairs, strict=True))
    there, back = paired_difference(first, second, rates), paired_difference(second, first, rates)
    assert there.value == pytest.approx(-back.value) and there.low == pytest.approx(-back.high)
    assert there.low - 1e-9 <= there.value <= there.high + 1e-9
    assert paired_difference(first, first, rates)[:3] == (0.0, 0.0, 0.0)


def test_the_interval_is_near_the_normal_one_where_that_holds() -> None:
    """200 examples, 40 won by the second side alone: p (1 - p) / n with p = 0.2."""
    base, other = np.zeros((1, 200)), np.zeros((1, 200))
    other[0, :40] = 1.0
    found = paired_difference(base, other, rates)
    spread = 100 * 1.96 * math.sqrt(0.2 * 0.8 / 200)
    assert (found.low, found.high) == (pytest.approx(20 - spread, abs=1), pytest.approx(20 + spread, abs=1))


def test_the_examples_needed_shrink_the_interval_to_the_difference() -> None:
    assert examples_needed(Difference(0.0, -3.0, 3.0, [0.0]), 100) is None
    needed = examples_needed(Difference(-1.5, -4.5, 1.5, [-1.5]), 250)
    assert needed == 1000 and 3.0 * math.sqrt(250 / needed) == pytest.approx(1.5)


def test_the_least_accuracy_is_a_fifth_of_the_way_to_no_error() -> None:
    assert [least_accuracy(share) for share in (0.5, 0.25, 0.9)] == pytest.approx([0.6, 0.4, 0.92])
