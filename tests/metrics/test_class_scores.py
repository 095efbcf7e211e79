"""Counts of classes against scikit-learn, and their form in files."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from hf_robust.metrics import ClassCounts

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@given(PAIRS)
def test_macro_f1_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = zip(*pairs, strict=True)
    counts = ClassCounts.of(labels, predictions, num_classes=6)
    assert counts.macro_f1 == pytest.approx(f1_score(labels, predictions, average="macro", zero_division=0.0))
    assert len(counts.scores) == 6 and counts.num_examples == len(pairs)
    assert ClassCounts.from_json(counts.to_json()) == counts


def test_a_class_that_does_not_occur_has_no_score() -> None:
    counts = ClassCounts.of([0, 0], [0, 1], num_classes=3)
    assert math.isnan(counts.scores[2].f1) and math.isnan(counts.scores[1].recall)
    assert counts.scores[1].precision == counts.scores[1].f1 == 0.0
    assert counts.macro_f1 == pytest.approx((2 / 3 + 0) / 2)
    assert math.isnan(ClassCounts.of([], []).macro_f1)


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"labels": [1], "predictions": [1]},
        {"labels": [1], "predictions": [1], "correct": [0.5]},
        {"labels": [1], "predictions": [1], "correct": [-1]},
        {"labels": [1], "predictions": [1, 0], "correct": [1]},
    ],
)
def test_other_content_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="the counts of the classes"):
        ClassCounts.from_json(data)
