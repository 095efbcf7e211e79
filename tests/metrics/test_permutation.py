"""Permuted labels are detected, and a model that is merely weak is not suspected."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scripted import record

from hf_robust.metrics.permutation import confusion, label_permutation, permutation_of_records

Matrix = NDArray[np.float64]


def drawn(joint: Matrix, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Counts [predictions, labels] of so many rows from shares [labels, predictions]."""
    return rng.multinomial(rows, (joint / joint.sum()).ravel()).reshape(joint.shape).T.copy()


def model(size: int, accuracy: float, shares: Matrix | None = None, bias: Matrix | None = None) -> Matrix:
    """Joint shares of a model that knows the label with some probability and guesses by ``bias`` otherwise."""
    even = np.full(size, 1 / size)
    known = accuracy * np.eye(size) + (1 - accuracy) * (even if bias is None else bias)[None]
    joint: Matrix = (even if shares is None else shares)[:, None] * known
    return joint


def test_confusion_counts_predictions_by_label() -> None:
    assert confusion([0, 2, 2, 1], [1, 2, 2, 1], 3).tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 2]]


@pytest.mark.parametrize(
    ("counts", "order", "accuracy", "permuted", "chance"),
    [
        ([[5, 95], [95, 5]], (1, 0), 0.05, 0.95, 0.5),
        ([[30, 0, 0], [0, 0, 30], [0, 30, 0]], (0, 2, 1), 1 / 3, 1.0, 1 / 3),
        ([[0, 30, 0], [0, 0, 30], [30, 0, 0]], (1, 2, 0), 0.0, 1.0, 1 / 3),
        # Nine rows of ten are of one class: far above 1 / 2 under the other numbering, far below chance by shares.
        ([[0, 10], [90, 0]], (1, 0), 0.0, 1.0, 2 * 0.1 * 0.9),
        # Two of three classes are swapped, and the whole is above chance.
        ([[90, 5, 5], [5, 8, 40], [5, 40, 8]], (0, 2, 1), 106 / 206, 170 / 206, None),
    ],
)
def test_permuted_counts(
    counts: list[list[int]], order: tuple[int, ...], accuracy: float, permuted: float, chance: float | None
) -> None:
    found = label_permutation(np.array(counts))
    assert found is not None and found.order == order
    assert found.accuracy == pytest.approx(accuracy) and found.permuted_accuracy == pytest.approx(permuted)
    assert chance is None or found.chance == pytest.approx(chance)


@pytest.mark.parametrize(
    "counts",
    [
        [[95, 5], [5, 95]],
        [[0, 0], [90, 10]],  # one answer to every text, and the rarer class at that
        [[0, 0], [0, 50]],
        [[0, 1], [1, 0]],  # two rows say nothing
        [[45, 55], [55, 45]],  # nor does 45 % of 200
        [[90, 5, 5], [5, 12, 20], [5, 20, 12]],  # nor 20 : 12 of two classes of three
        [[0, 0], [0, 0]],
        [[7]],
        # One class is taken for a rarer one: the swap is right far more often, and knows no more.
        [[100, 0, 0], [0, 0, 0], [0, 200, 20]],
        # It is told from it a little: fewer texts, but the right ones.
        [[100, 0, 0], [0, 30, 1], [0, 170, 19]],
    ],
)
def test_what_is_no_permutation(counts: list[list[int]]) -> None:
    assert label_permutation(np.array(counts)) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_the_permutation_found_is_the_best_of_all_or_a_part_of_it(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 40, (size, size))
    found = label_permutation(counts)
    right = {order: counts[range(size), order].sum() for order in permutations(range(size))}
    if found is not None:
        assert sorted(found.order) == list(range(size)) and found.order != tuple(range(size))
        assert found.permuted_accuracy == pytest.approx(right[found.order] / counts.sum())
        assert right[tuple(range(size))] < right[found.order] <= max(right.values())
        if found.accuracy < found.chance and size == 2:
            assert right[found.order] == max(right.values())


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.data())
def test_a_good_model_of_permuted_labels_is_read_right(size: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(size)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    counts = drawn(model(size, 0.7), 80 * size, rng)
    permuted = np.zeros_like(counts)
    permuted[order] = counts  # what was prediction p is called order[p]
    found = label_permutation(permuted)
    if order == list(range(size)):
        assert found is None
    else:
        assert found is not None and all(found.order[order[p]] == p for p in range(size))


def weak_models() -> list[tuple[int, int, float]]:
    return [(size, rows, known) for size in (2, 3, 6) for rows in (20, 200, 5000) for known in (0.0, 0.02, 0.1, 0.3)]


@pytest.mark.parametrize(("size", "rows", "known"), weak_models())
def test_weak_models_are_not_suspected(size: int, rows: int, known: float) -> None:
    """Uneven classes, and a model that knows little or nothing and prefers random classes."""
    rng = np.random.default_rng(size * rows + int(100 * known))
    suspected = 0
    for _ in range(60):
        shares, bias = rng.dirichlet(np.ones(size)), rng.dirichlet(np.full(size, rng.choice([0.2, 1.0, 5.0])))
        suspected += label_permutation(drawn(model(size, known, shares, bias), rows, rng)) is not None
    assert suspected <= 1  # 60 at 0.001


def test_more_classes_than_a_factorial_can_be_a_float_of() -> None:
    shifted = np.roll(5 * np.eye(250, dtype=np.int64), 1, axis=0)
    found = label_permutation(shifted)
    assert found is not None and found.permuted_accuracy == 1.0


def test_clean_predictions_of_records_are_read() -> None:
    records = [record(index, label=index % 2, original_prediction=1 - index % 2) for index in range(20)]
    found = permutation_of_records(records, 2)
    assert found is not None and found.order == (1, 0) and found.num_examples == 20


def test_the_sentence_names_what_predictions_would_mean() -> None:
    found = label_permutation(np.array([[30, 0, 0], [0, 0, 30], [0, 30, 0]]))
    assert found is not None
    assert found.in_words(["no", "yes"]) == (
        "Labels may be permuted: the accuracy on 90 rows is 33.3 % (chance: 33.3 %), and would be 100.0 % if "
        "predictions meant: yes -> 2, 2 -> yes."
    )
