"""BAT's losses against the closed forms of two-dimensional vectors and a naive loop."""

from __future__ import annotations

import pytest
import torch

from hf_robust.losses import balanced_pairwise, balanced_triplet, cosine_distance, sentence_embedding

ONE, ZERO = torch.ones(1), torch.zeros(1)


def distance(first: tuple[float, float], second: tuple[float, float]) -> torch.Tensor:
    return cosine_distance(torch.tensor([first]), torch.tensor([second]))


def test_distance_is_one_minus_cosine_from_0_to_2() -> None:
    assert distance((1, 0), (1, 0)).item() == pytest.approx(0.0, abs=1e-7)
    assert distance((1, 0), (0, 3)).item() == pytest.approx(1.0)
    assert distance((1, 0), (-2, 0)).item() == pytest.approx(2.0)


@pytest.mark.parametrize(("obstinate", "hinge"), [((0, 1), 0.0), ((1, 0), 1.0), ((-1, 0), 0.0)])
def test_pairwise_closed_form(obstinate: tuple[float, float], hinge: float) -> None:
    pull, push = balanced_pairwise(distance((1, 0), (1, 0)), distance((1, 0), obstinate), ONE, ONE, margin=1.0)
    assert pull.item() == pytest.approx(0.0, abs=1e-7)
    assert push.item() == pytest.approx(hinge, abs=1e-7)


@pytest.mark.parametrize(
    ("fickle", "obstinate", "fickle_ok", "obstinate_ok", "expected"),
    [
        (0.2, 0.5, 1, 1, 0.7),
        (0.2, 0.5, 1, 0, 0.2),
        (0.2, 0.5, 0, 1, 0.5),
        (0.2, 0.5, 0, 0, 0.0),
        (0.1, 1.3, 1, 1, 0.0),
    ],
)
def test_triplet_masks_both_halves(
    fickle: float, obstinate: float, fickle_ok: int, obstinate_ok: int, expected: float
) -> None:
    values = [torch.tensor([float(value)]) for value in (fickle, obstinate, fickle_ok, obstinate_ok)]
    assert balanced_triplet(*values, margin=1.0).item() == pytest.approx(expected, abs=1e-6)


def test_triplet_divides_by_all_rows_and_pairwise_by_valid_ones() -> None:
    fickle, obstinate = torch.tensor([0.4, 0.9]), torch.tensor([0.5, 0.5])
    first_only = torch.tensor([1.0, 0.0])
    pull, push = balanced_pairwise(fickle, obstinate, first_only, first_only, margin=1.0)
    assert (pull.item(), push.item()) == pytest.approx((0.4, 0.5))
    assert balanced_triplet(fickle, obstinate, first_only, first_only, margin=1.0).item() == pytest.approx(0.45)


def test_no_valid_view_is_zero_and_finite() -> None:
    distances = torch.full((3,), 0.5, requires_grad=True)
    none = torch.zeros(3)
    total = sum(balanced_pairwise(distances, distances, none, none, margin=1.0)) + balanced_triplet(
        distances, distances, none, none, margin=1.0
    )
    total.backward()
    assert total.item() == 0.0
    assert torch.equal(distances.grad, torch.zeros(3))


def test_losses_equal_a_naive_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    fickle, obstinate = 2 * torch.rand(2, 9, generator=generator)
    fickle_ok, obstinate_ok = torch.randint(0, 2, (2, 9), generator=generator).float()
    pulls = [d.item() for d, ok in zip(fickle, fickle_ok, strict=True) if ok]
    pushes = [max(0.0, 0.8 - d.item()) for d, ok in zip(obstinate, obstinate_ok, strict=True) if ok]
    pull, push = balanced_pairwise(fickle, obstinate, fickle_ok, obstinate_ok, margin=0.8)
    assert pull.item() == pytest.approx(sum(pulls) / len(pulls))
    assert push.item() == pytest.approx(sum(pushes) / len(pushes))
    rows = zip(fickle.tolist(), obstinate.tolist(), fickle_ok.tolist(), obstinate_ok.tolist(), strict=True)
    expected = sum(max(0.0, f_ok * f + o_ok * (0.8 - o)) for f, o, f_ok, o_ok in rows) / 9
    assert balanced_triplet(fickle, obstinate, fickle_ok, obstinate_ok, margin=0.8).item() == pytest.approx(expected)


def test_triplet_gradient_to_the_anchor_sums_both_terms() -> None:
    generator = torch.Generator().manual_seed(1)
    anchor, fickle, obstinate = torch.randn(3, 4, 5, generator=generator)
    obstinate = anchor + 0.1 * obstinate  # near the anchor: the hinge is active in every row
    ones = torch.ones(4)

    def gradient(with_fickle: float, with_obstinate: float) -> torch.Tensor:
        centre = anchor.clone().requires_grad_()
        loss = balanced_triplet(
            cosine_distance(centre, fickle),
            cosine_distance(centre, obstinate),
            with_fickle * ones,
            with_obstinate * ones,
            1.0,
        )
        return torch.autograd.grad(loss, centre)[0]

    assert torch.allclose(gradient(1, 1), gradient(1, 0) + gradient(0, 1), atol=1e-7)


def test_pooling_ignores_padding_on_either_side() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [9.0]], [[9.0], [1.0], [3.0]]])
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    for pooling, expected in {"cls": 1.0, "last_token": 3.0, "mean_pool": 2.0, "max_pool": 3.0}.items():
        assert sentence_embedding(hidden, mask, pooling).flatten().tolist() == [expected, expected]
    with pytest.raises(ValueError, match="cls, last_token, mean_pool, max_pool, got 'first'"):
        sentence_embedding(hidden, mask, "first")
