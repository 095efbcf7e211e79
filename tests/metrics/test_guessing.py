"""Is a model better than guessing? Cases computed by hand, and random predictions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.metrics import Guessing, wilson_interval
from hf_robust.metrics.guessing import least_accuracy

ANSWERS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("accuracy", "count", "larger", "classes", "mark"),
    [
        (0.5, 872, 0.509, 2, "no better than the larger class, 50.9"),
        (0.54, 100, 0.509, 2, "no better than the larger class, 50.9"),  # its interval begins at 44.3
        (0.56, 872, 0.509, 2, "hardly better than the larger class, 50.9"),  # from 52.7 on, and least is 60.7
        (0.61, 872, 0.509, 2, ""),
        (0.9, 1000, 0.9, 2, "no better than the larger class, 90.0"),
        (0.95, 1000, 0.9, 2, ""),
        (0.1, 200, 0.5, 2, "below chance, 50.0: are the labels permuted?"),
        (0.44, 9000, 0.56, 2, "no better than the larger class, 56.0"),  # the smaller class as every answer
        (0.05, 300, 0.4, 3, "below chance, 33.3: are the labels permuted?"),
        (math.nan, 100, 0.5, 2, ""),
        (0.65, None, 0.5, 2, ""),
        (0.5, None, 0.5, 2, "no better than the larger class, 50.0"),
    ],
)
def test_marks(accuracy: float, count: int | None, larger: float, classes: int, mark: str) -> None:
    found = Guessing(accuracy, count, larger, classes)
    assert found.mark == mark and found.learnt is (mark == "")


def test_least_accuracy_is_a_fifth_of_the_way_from_the_larger_class() -> None:
    assert Guessing(0.7, 10, 0.5, 2).least == least_accuracy(0.5) == pytest.approx(0.6)


def test_one_answer_to_texts_of_several_classes_is_a_guess_whatever_its_interval() -> None:
    found = Guessing.of([0] * 9 + [1], [0] * 10)
    assert found.one_answer and found.accuracy == found.larger_class == 0.9
    assert found.mark == "one class predicted for every text; the larger class has 90.0"
    assert not Guessing.of([1] * 10, [1] * 10).one_answer  # texts of one class may have one answer


@given(ANSWERS)
def test_from_labels_and_answers(pairs: list[tuple[int, int]]) -> None:
    labels, answers = [label for label, _ in pairs], [answer for _, answer in pairs]
    found = Guessing.of(labels, answers, 3)
    right = sum(label == answer for label, answer in pairs)
    assert found.accuracy == right / len(pairs) and found.num_examples == len(pairs) and found.num_classes == 3
    assert found.larger_class == max(labels.count(label) for label in range(3)) / len(pairs)
    assert found.interval == wilson_interval(right, len(pairs))


@given(st.lists(st.integers(0, 2), min_size=2, max_size=60), st.integers(0, 2))
def test_a_constant_answer_has_never_learnt(labels: list[int], answer: int) -> None:
    found = Guessing.of(labels, [answer] * len(labels))
    assert not found.learnt and not (found.below_chance and len(set(labels)) > 1)


@given(st.integers(1, 400), st.floats(0.3, 0.99), st.floats(0, 1))
def test_more_accuracy_never_takes_away_what_was_learnt(count: int, larger: float, accuracy: float) -> None:
    found = [Guessing(right / count, count, larger, 2).learnt for right in (round(accuracy * count), count)]
    assert found[0] <= found[1] or not found[1]
