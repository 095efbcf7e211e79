"""Noise that belongs to a text and a step: invariances, distribution, stored values."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch.nn.functional import pad

from hf_robust.adversary import Noise

NOISE = Noise(seed=7, step=3)


def texts(rows: int = 4, length: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    ids = torch.randint(5, 30000, (rows, length), generator=torch.Generator().manual_seed(seed))
    return ids, torch.ones_like(ids)


def test_values_are_stored_so_that_a_change_of_the_hash_is_seen() -> None:
    ids = torch.tensor([[2, 17, 40, 3], [2, 9, 3, 0]])
    values = Noise(seed=42, step=10, draw=1).uniform(ids, (ids != 0).long(), 3)
    stored = [[-5378587, 7913467, -16025833], [-5063023, 11952993, 11765329], [-6215937, -14515619, 7836367]]
    assert torch.equal(torch.stack([values[0, 0], values[0, 3], values[1, 2]]), torch.tensor(stored) * 2.0**-24)


def test_a_text_has_the_same_noise_in_any_batch() -> None:
    ids, mask = texts()
    together = NOISE.uniform(ids, mask, 8)
    alone = torch.cat([NOISE.uniform(ids[row : row + 1], mask[row : row + 1], 8) for row in range(4)])
    shuffled = NOISE.uniform(ids.flip(0), mask.flip(0), 8).flip(0)
    assert torch.equal(together, alone) and torch.equal(together, shuffled)


@given(left=st.integers(0, 6), right=st.integers(0, 6), pad_id=st.integers(0, 99))
def test_padding_of_any_side_and_length_moves_nothing(left: int, right: int, pad_id: int) -> None:
    ids, mask = texts(rows=2, length=5)
    plain = NOISE.uniform(ids, mask, 4)
    padded = NOISE.uniform(pad(ids, (left, right), value=pad_id), pad(mask, (left, right)), 4)
    assert torch.equal(padded[:, left : left + 5], plain)


def test_a_narrower_width_is_the_start_of_a_wider_one() -> None:
    ids, mask = texts()
    assert torch.equal(NOISE.uniform(ids, mask, 16)[..., :8], NOISE.uniform(ids, mask, 8))


def test_one_token_changes_the_noise_of_its_whole_text_and_of_no_other() -> None:
    ids, mask = texts()
    other = ids.clone()
    other[1, 4] += 1
    first, second = NOISE.uniform(ids, mask, 64), NOISE.uniform(other, mask, 64)
    assert torch.equal(first[[0, 2, 3]], second[[0, 2, 3]])
    assert (first[1] == second[1]).sum() == 0


def test_order_of_tokens_counts() -> None:
    ids, mask = texts(rows=1)
    swapped = ids.clone()
    swapped[0, [2, 3]] = ids[0, [3, 2]]
    assert not torch.isclose(NOISE.uniform(ids, mask, 32), NOISE.uniform(swapped, mask, 32)).any(-1).all()


def test_dtype_of_ids_and_mask_is_all_the_same() -> None:
    ids, mask = texts()
    expected = NOISE.uniform(ids, mask, 8)
    for kind in (torch.int32, torch.bool, torch.float32):
        assert torch.equal(NOISE.uniform(ids.int(), mask.to(kind), 8), expected)


@pytest.mark.parametrize(
    "other", [Noise(8, 3), Noise(7, 4), Noise(7, 3, 1), Noise(3, 7), Noise(-7, 3), Noise(7 + 2**16, 3)]
)
def test_seeds_steps_and_draws_differ_and_do_not_correlate(other: Noise) -> None:
    ids, mask = texts(rows=16)
    first, second = (noise.uniform(ids, mask, 768).flatten() for noise in (NOISE, other))
    assert (first == second).float().mean() < 1e-5
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 4 / len(first) ** 0.5


def test_no_two_of_many_runs_and_steps_share_their_noise() -> None:
    ids, mask = texts(rows=1, length=3)
    starts = [Noise(*key).uniform(ids, mask, 2).sum().item() for key in itertools.product(range(8), range(60), (0, 1))]
    assert len(set(starts)) == len(starts)


def test_uniform_moments_and_distribution() -> None:
    ids, mask = texts(rows=8, length=16)
    values = NOISE.uniform(ids, mask, 768).flatten()
    count = len(values)
    assert values.dtype == torch.float32
    assert abs(values.mean()) < 4 * (1 / 3 / count) ** 0.5
    assert values.var() == pytest.approx(1 / 3, rel=0.01)
    assert (values.double() ** 4).mean() == pytest.approx(1 / 5, rel=0.01)
    assert stats.kstest(values.numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_the_range_is_open_so_that_the_normal_is_finite() -> None:
    ids, mask = texts(rows=16, length=32)
    assert NOISE.uniform(ids, mask, 768).abs().max() < 1
    assert NOISE.normal(ids, mask, 768).isfinite().all()
    # The hash's extreme outputs, at the ends of the 24 bits that are kept.
    ends = (torch.tensor([-(2**23), 2**23 - 1]).float() + 0.5) * 2.0**-23
    assert ends.abs().max() < 1 and torch.erfinv(ends).isfinite().all()


def test_normal_moments_and_distribution() -> None:
    ids, mask = texts(rows=8, length=16)
    values = NOISE.normal(ids, mask, 768).flatten()
    assert abs(values.mean()) < 4 / len(values) ** 0.5
    assert values.std() == pytest.approx(1.0, rel=0.01)
    assert stats.kstest(values.numpy(), stats.norm.cdf).pvalue > 1e-3


@pytest.mark.parametrize("shift", [1, 2, 7])
@pytest.mark.parametrize("axis", ["row", "position", "dimension"])
def test_neighbours_do_not_correlate(axis: str, shift: int) -> None:
    ids, mask = texts(rows=16, length=16)
    values = NOISE.uniform(ids, mask, 256)
    length = values.shape[dim := ["row", "position", "dimension"].index(axis)] - shift
    pairs = torch.stack([values.narrow(dim, 0, length).flatten(), values.narrow(dim, shift, length).flatten()])
    assert abs(torch.corrcoef(pairs)[0, 1]) < 4 / pairs.shape[1] ** 0.5


def test_repeated_tokens_and_steps_in_a_row_do_not_correlate() -> None:
    ids = torch.full((1, 64), 11)
    values = NOISE.uniform(ids, torch.ones_like(ids), 512)[0]
    others = torch.corrcoef(values).fill_diagonal_(0.0).abs()
    assert others.max() < 6 / 512**0.5
    steps = torch.stack([Noise(1, step).uniform(ids[:, :2], torch.ones(1, 2), 2048).flatten() for step in range(32)])
    assert torch.corrcoef(steps).fill_diagonal_(0.0).abs().max() < 6 / 4096**0.5


def test_every_dimension_and_position_is_uniform_on_its_own() -> None:
    ids, mask = texts(rows=400, length=6)
    values = NOISE.uniform(ids, mask, 6)
    cells = values.flatten(1)
    assert (cells.mean(0).abs() < 5 * (1 / 3 / 400) ** 0.5).all()
    assert torch.allclose(cells.var(0), torch.tensor(1 / 3), atol=0.07)
