"""TaiChi's pair statistics: closed forms, a naive loop, and draws that a seed decides."""

from __future__ import annotations

import math
import random

import pytest
import torch

from hf_robust.interpret.pair_statistics import States, others_of, pair_statistics

LABELS = [0, 1, 2, 0, 1, 2, 0]
GENERATOR = torch.Generator().manual_seed(0)
CLEAN, CHANGED = (
    States(torch.randn(7, 5, generator=GENERATOR), torch.randn(7, 3, generator=GENERATOR)) for _ in range(2)
)


def test_identical_pairs_have_no_distance() -> None:
    found = pair_statistics(CLEAN, CLEAN, LABELS)
    assert (found.mse_pos, found.kl_pos) == (0.0, 0.0)
    assert found.ctr <= math.log(len(LABELS) - 1)
    assert found.mse_neg > 0 and found.kl_neg > 0


def test_a_collapsed_model_has_no_distance_at_all() -> None:
    same = States(torch.ones(7, 5), torch.ones(7, 3))
    found = pair_statistics(same, same, LABELS)
    assert (found.mse_pos, found.mse_neg, found.kl_pos, found.kl_neg) == (0.0, 0.0, 0.0, 0.0)
    assert found.ctr == pytest.approx(math.log(6), abs=1e-6)


def test_equals_a_naive_loop() -> None:
    found = pair_statistics(CLEAN, CHANGED, LABELS, draws=1, seed=3)
    other = others_of(LABELS, random.Random("3:0"))
    p, q = CLEAN.logits.softmax(-1).tolist(), CHANGED.logits.softmax(-1).tolist()

    def kl(first: list[float], second: list[float]) -> float:
        return sum(a * math.log(a / b) for a, b in zip(first, second, strict=True))

    assert found.kl_pos == pytest.approx(sum(map(kl, p, q)) / 7, rel=1e-4)
    assert found.kl_neg == pytest.approx(sum(kl(p[i], p[other[i]]) for i in range(7)) / 7, rel=1e-4)
    z, changed = CLEAN.embeddings, CHANGED.embeddings
    assert found.mse_pos == pytest.approx(sum(((z[i] - changed[i]) ** 2).mean().item() for i in range(7)) / 7)
    assert found.mse_neg == pytest.approx(sum(((z[i] - z[other[i]]) ** 2).mean().item() for i in range(7)) / 7)
    assert math.isnan(found.mse_neg_std) and found.num_pairs == 7


def test_one_fixed_text_of_another_label_for_each_label_by_seed_averaged_over_draws() -> None:
    chosen = others_of(LABELS, random.Random(0))
    assert all(LABELS[row] != LABELS[other] for row, other in enumerate(chosen))
    assert len({(label, other) for label, other in zip(LABELS, chosen, strict=True)}) == 3
    assert pair_statistics(CLEAN, CHANGED, LABELS, seed=1) == pair_statistics(CLEAN, CHANGED, LABELS, seed=1)
    several = pair_statistics(CLEAN, CHANGED, LABELS, draws=20, seed=1)
    assert several.mse_neg_std > 0 and several.num_draws == 20
    rows = [others_of(LABELS, random.Random(f"1:{draw}")) for draw in range(20)]
    each = [(CLEAN.embeddings - CLEAN.embeddings[row]).square().mean().item() for row in rows]
    assert several.mse_neg == pytest.approx(sum(each) / 20)


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="need two labels, and all 7 pairs have one"):
        pair_statistics(CLEAN, CHANGED, [1] * 7)
    with pytest.raises(ValueError, match="got 7 clean texts, 7 adversarial ones and 2 labels"):
        pair_statistics(CLEAN, CHANGED, [0, 1])
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        pair_statistics(CLEAN, CHANGED, LABELS, draws=0)
