"""TaiChi's contrastive loss against closed forms and a naive loop."""

from __future__ import annotations

import math

import pytest
import torch

from hf_robust.losses import contrastive

PAIR = torch.eye(2)


@pytest.mark.parametrize("rows", [2, 4, 1000])
def test_equal_texts_give_log_of_the_number_of_others(rows: int) -> None:
    same = torch.ones(rows, 3)
    for tau in (0.1, 1.0):
        assert contrastive(same, 2 * same, tau=tau).item() == pytest.approx(math.log(rows - 1), abs=2e-5)


def test_similarity_grows_as_texts_get_closer() -> None:
    assert contrastive(PAIR, PAIR).item() == pytest.approx(-1.0)
    apart = torch.cdist(PAIR, PAIR)
    printed = (apart.masked_fill(PAIR.bool(), -torch.inf).logsumexp(dim=1) - apart.diagonal()).mean()
    assert printed.item() == pytest.approx(math.sqrt(2)), "the printed formula rewards positives that are far apart"
    assert contrastive(PAIR, PAIR) < contrastive(PAIR, PAIR.flip(0))


def test_one_row_is_zero_with_a_finite_gradient() -> None:
    row = torch.randn(1, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = contrastive(row, row)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(row.grad, torch.zeros(1, 4))


def test_equals_a_naive_loop() -> None:
    first, second = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(1))
    ok, tau = [1, 0, 1, 1, 0, 1], 0.7

    def score(u: torch.Tensor, v: torch.Tensor) -> float:
        return (u @ v / (u.norm() * v.norm())).item() / tau

    terms = []
    for i, u in enumerate(first):
        others = [math.exp(score(u, v)) for j, v in enumerate(second) if j != i]
        terms.append(math.log(sum(others)) - score(u, second[i]))
    assert contrastive(first, second, tau=tau).item() == pytest.approx(sum(terms) / 6, abs=1e-5)
    valid = [term for term, keep in zip(terms, ok, strict=True) if keep]
    masked = contrastive(first, second, torch.tensor(ok), tau=tau)
    assert masked.item() == pytest.approx(sum(valid) / 4, abs=1e-5)


def test_without_a_valid_pair_it_is_zero_and_finite() -> None:
    first = torch.randn(3, 4, generator=torch.Generator().manual_seed(2), requires_grad=True)
    loss = contrastive(first, first.detach(), torch.zeros(3))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(first.grad, torch.zeros(3, 4))


def test_distance_of_equal_rows_has_a_finite_gradient() -> None:
    first = torch.ones(3, 4, requires_grad=True)
    contrastive(first, torch.ones(3, 4)).backward()
    assert torch.isfinite(first.grad).all()


def test_float32_under_autocast() -> None:
    first, second = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = contrastive(first, second, tau=0.1)
    assert torch.equal(cast, contrastive(first, second, tau=0.1))
    assert contrastive(first.bfloat16(), second.bfloat16()).dtype == torch.float32


def test_bad_values_are_named() -> None:
    with pytest.raises(ValueError, match="tau must be above 0, got 0"):
        contrastive(PAIR, PAIR, tau=0)
