"""Distances of views in closed form, and a seeded projection to the plane."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_robust.interpret.space import GRID, joint_plane, predicted_regions, view_distances

ORIGINAL = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
ROWS = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))


def test_distances_in_closed_form() -> None:
    obstinate = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])  # at 2, 1 and 0 from the original
    fickle = torch.tensor([[0.0, 1.0], [0.0, 2.0], [1.0, 0.0]])  # at 1, 0 and 0
    found = view_distances(ORIGINAL, fickle, obstinate, margin=0.9)
    assert found["texts"] == 3
    assert found["fickle"] == pytest.approx(1 / 3) and found["obstinate"] == pytest.approx(1.0)
    assert found["obstinate_further"] == pytest.approx(2 / 3)
    assert found["obstinate_further_by_margin"] == pytest.approx(2 / 3)
    assert view_distances(ORIGINAL, fickle, obstinate, margin=1.5)["obstinate_further_by_margin"] == 0.0
    assert found["between_originals"] == pytest.approx(2 / 3)
    assert found["between_obstinate"] == pytest.approx((2 + 2 + 0) / 3)


def test_views_equal_to_their_texts_are_at_no_distance() -> None:
    found = view_distances(ROWS, ROWS)
    assert found["fickle"] == pytest.approx(0.0, abs=1e-6) and set(found) == {"texts", "fickle", "between_originals"}
    with pytest.raises(ValueError, match="at least two texts with views, got 1"):
        view_distances(ROWS[:1], ROWS[:1])


def test_one_joint_fit_by_the_seed_with_groups_in_order() -> None:
    first, second = (joint_plane([ROWS, ROWS + 0.01, -ROWS[:10]], seed=1) for _ in range(2))
    assert [points.shape for points in first.points] == [(40, 2), (40, 2), (10, 2)]
    assert all(np.array_equal(one, other) for one, other in zip(first.points, second.points, strict=True))
    apart = np.linalg.norm(first.points[0] - first.points[1], axis=1)
    others = np.linalg.norm(first.points[0] - np.roll(first.points[1], 1, axis=0), axis=1)
    assert np.median(apart) < np.median(others)


@pytest.mark.parametrize(("rows", "used"), [(12, 11 / 3), (40, 13.0)])
def test_the_perplexity_is_smaller_for_few_rows_and_returned(rows: int, used: float) -> None:
    assert joint_plane([ROWS[:rows]]).perplexity == pytest.approx(used)


def test_too_few_or_equal_rows_are_one_sentence() -> None:
    with pytest.raises(ValueError, match="at least six texts, got 4"):
        joint_plane([ROWS[:2], ROWS[:2]])
    with pytest.raises(ValueError, match="same embedding"):
        joint_plane([torch.ones(9, 4)])


def test_regions_are_the_votes_of_the_nearest_texts() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(-3, 0.5, (30, 2)), rng.normal(3, 0.5, (30, 2))])
    predictions = [0] * 30 + [2] * 29 + [0]
    found = predicted_regions(points, predictions)
    assert found.classes.shape == (GRID, GRID) and found.agreement == 59 / 60
    for row, column in rng.integers(0, GRID, (50, 2)):
        near = np.argsort(np.linalg.norm(points - [found.x[column], found.y[row]], axis=1))[:15]
        votes = [predictions[index] for index in near]
        assert found.classes[row, column] == max((0, 2), key=votes.count)
    assert found.x[0] < points[:, 0].min() and found.y[-1] > points[:, 1].max()


def test_a_model_with_one_answer_has_one_region() -> None:
    found = predicted_regions(np.random.default_rng(0).normal(size=(8, 2)), [1] * 8)
    assert set(found.classes.ravel()) == {1} and found.agreement == 1.0
