"""CLUB, InfoNCE and the choice of local tokens, each against a closed form or a naive loop."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hf_robust.losses import club, info_nce, middle_ranks
from hf_robust.modules.critic import HIDDEN, Critic


def naive_info_nce(scores: torch.Tensor, owners: torch.Tensor, negatives: str) -> torch.Tensor:
    """All n x n pairs, as the formulas are printed."""
    count = len(scores)
    terms = []
    for i in range(count):
        pairs = [scores[i, owners[j]] if negatives == "sentences" else scores[j, owners[i]] for j in range(count)]
        terms.append(scores[i, owners[i]] - (torch.stack(pairs).logsumexp(0) - math.log(count)))
    return torch.stack(terms).mean()


class TestClub:
    def test_identical_rows_give_0(self) -> None:
        assert club(torch.ones(4, 3), torch.tensor([1, 3, 0, 0])).item() == 0.0

    def test_two_rows_at_distance_d_swapped_give_half_d_squared(self) -> None:
        rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        assert club(rows, torch.tensor([1, 0])).item() == pytest.approx(25 / 2)
        assert club(rows, torch.tensor([0, 0])).item() == pytest.approx(25 / 4)

    def test_its_expectation_is_the_variance_of_the_features(self) -> None:
        rows = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        mean = torch.stack([club(rows, torch.full((5,), j)) for j in range(5)]).mean()
        assert mean.item() == pytest.approx(rows.var(0, unbiased=False).sum().item(), rel=1e-6)

    def test_no_rows_give_0(self) -> None:
        assert club(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)).item() == 0.0


@pytest.mark.parametrize("negatives", ["sentences", "tokens"])
class TestInfoNce:
    def test_constant_scores_give_0(self, negatives: str) -> None:
        assert info_nce(torch.full((5, 3), 1.7), torch.tensor([0, 0, 1, 2, 2]), negatives).item() == pytest.approx(
            0.0, abs=1e-6
        )

    @settings(max_examples=40, deadline=None)
    @given(owners=st.lists(st.integers(0, 3), min_size=1, max_size=9), seed=st.integers(0, 99))
    def test_equals_all_pairs(self, negatives: str, owners: list[int], seed: int) -> None:
        scores = torch.randn(len(owners), 4, generator=torch.Generator().manual_seed(seed)) * 3
        rows = torch.tensor(sorted(owners))
        found = info_nce(scores, rows, negatives)
        assert found.item() == pytest.approx(naive_info_nce(scores, rows, negatives).item(), abs=2e-5)
        assert found.item() <= math.log(len(owners)) + 1e-5

    def test_gradients_equal_all_pairs(self, negatives: str) -> None:
        owners = torch.tensor([0, 0, 2])  # text 1 has no local token
        scores = torch.randn(3, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
        (ours,) = torch.autograd.grad(info_nce(scores, owners, negatives), scores)
        (naive,) = torch.autograd.grad(naive_info_nce(scores, owners, negatives), scores)
        assert torch.allclose(ours, naive, atol=1e-6)

    def test_no_tokens_give_0_with_a_gradient_of_zeros(self, negatives: str) -> None:
        critic = Critic(2, 3, seed=0)
        sentences = torch.randn(4, 3, requires_grad=True)
        loss = info_nce(critic(torch.zeros(0, 2), sentences), torch.zeros(0, dtype=torch.long), negatives)
        assert loss.item() == 0.0
        loss.backward()
        gradients = [sentences.grad, *(parameter.grad for parameter in critic.parameters())]
        assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_the_two_kinds_of_negatives_differ() -> None:
    scores, owners = torch.tensor([[2.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 0, 1])
    assert abs(info_nce(scores, owners, "sentences") - info_nce(scores, owners, "tokens")) > 0.05


class TestMiddleRanks:
    def test_norms_1_to_10_keep_ranks_5_to_8(self) -> None:
        values = torch.arange(1.0, 11.0)[torch.randperm(10, generator=torch.Generator().manual_seed(0))].unsqueeze(0)
        kept = middle_ranks(values, torch.ones(1, 10), 0.5, 0.9)
        assert sorted(values[kept].tolist()) == [6.0, 7.0, 8.0, 9.0]

    def test_padding_on_either_side_changes_nothing(self) -> None:
        values, mask = torch.tensor([[9.0, 3.0, 1.0, 2.0, 0.0, 0.0]]), torch.tensor([[1, 1, 1, 1, 0, 0]])
        kept = middle_ranks(values, mask, 0.5, 0.9)
        assert kept.tolist() == [[True, True, False, False, False, False]]
        assert middle_ranks(values.flip(1), mask.flip(1), 0.5, 0.9).flip(1).equal(kept)

    def test_a_text_of_one_token_has_none(self) -> None:
        assert not middle_ranks(torch.ones(1, 1), torch.ones(1, 1), 0.5, 0.9).any()

    @given(count=st.integers(1, 512), low=st.integers(0, 20), high=st.integers(0, 20))
    @settings(max_examples=60, deadline=None)
    def test_the_number_kept_is_exact(self, count: int, low: int, high: int) -> None:
        low, high = sorted((low, high))
        values = torch.rand(1, count, generator=torch.Generator().manual_seed(count))
        kept = middle_ranks(values, torch.ones(1, count), low / 20, high / 20)
        assert kept.sum() == math.ceil(Fraction(high, 20) * count) - math.ceil(Fraction(low, 20) * count)

    @pytest.mark.parametrize("gap", [0.0, torch.nan])
    def test_ties_and_broken_gradients_keep_the_number(self, gap: float) -> None:
        values = torch.tensor([[gap, gap, gap, gap, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
        assert middle_ranks(values, torch.ones(1, 10), 0.5, 0.9).sum() == 4


class TestCritic:
    def test_the_halves_are_one_layer_on_both_features(self) -> None:
        critic = Critic(2, 3, seed=0)
        joint = nn.Linear(5, HIDDEN)
        with torch.no_grad():
            joint.weight.copy_(torch.cat([critic.token.weight, critic.sentence.weight], dim=1))
            joint.bias.copy_(critic.sentence.bias)
        whole = nn.Sequential(joint, nn.ReLU(), critic.score, nn.Softplus())
        tokens, sentences = torch.randn(4, 2), torch.randn(3, 3)
        expected = torch.stack([whole(torch.cat([token.expand(3, 2), sentences], 1))[:, 0] for token in tokens])
        assert torch.allclose(critic(tokens, sentences), expected, atol=1e-6)

    def test_it_is_seeded_and_leaves_the_random_state(self) -> None:
        before = torch.get_rng_state()
        first, second, other = Critic(2, 2, seed=1), Critic(2, 2, seed=1), Critic(2, 2, seed=2)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(first.token.weight, second.token.weight)
        assert not torch.equal(first.token.weight, other.token.weight)
