"""Interval bounds hold for every combination of substitutes, and are exact where a network is linear."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import build_model
from torch import Tensor

from hf_robust.certify.intervals import BOUNDED, Interval, IntervalBounds
from hf_robust.models import CnnConfig, CnnForSequenceClassification

SLACK = 1e-5
"""Rounding of float32."""


def drawn(seed: int, rows: int = 2, length: int = 4, choices: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (B, L, N), real tokens (B, L) with gaps and padding on both sides, and labels (B,)."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 64, (rows, length, choices), generator=generator)
    keep = torch.rand(rows, length, generator=generator) < 0.8
    return ids, keep, torch.randint(0, 3, (rows,), generator=generator)


def margins_of(model: Any, ids: Tensor, keep: Tensor, labels: Tensor) -> Tensor:
    logits: Tensor = model(ids, keep.long()).logits
    return logits.gather(1, labels.unsqueeze(1)) - logits


def enumerated(model: Any, ids: Tensor, keep: Tensor, labels: Tensor) -> Tensor:
    """The smallest margins (B, K) over all combinations, each run through the network."""
    places = torch.arange(ids.shape[1])
    combinations = product(range(ids.shape[2]), repeat=ids.shape[1])
    return torch.stack(
        [margins_of(model, ids[:, places, torch.tensor(one)], keep, labels) for one in combinations]
    ).amin(0)


@pytest.mark.parametrize("kind", BOUNDED)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from((0.3, 1.0, 4.0)))
@settings(max_examples=15, deadline=None)
@torch.no_grad()
def test_no_combination_of_substitutes_leaves_the_bounds(kind: str, seed: int, scale: float) -> None:
    model = build_model(kind, num_labels=3, seed=seed % 1000).eval()
    for weights in model.parameters():
        weights.mul_(scale)
    batch = drawn(seed)
    bounds = IntervalBounds(model)
    worst, plain, lower = enumerated(model, *batch), bounds(*batch, 0.0), bounds(*batch)
    assert torch.allclose(plain, margins_of(model, batch[0][..., 0], *batch[1:]), atol=SLACK * scale**2)
    assert (lower <= worst + SLACK * scale**2).all()
    halfway = bounds(*batch, 0.5)
    assert (lower <= halfway + SLACK).all() and (halfway <= plain + SLACK).all()


@pytest.mark.parametrize("kind", BOUNDED)
@torch.no_grad()
def test_a_mixture_of_substitutes_scaled_by_epsilon_is_inside_too(kind: str) -> None:
    """Epsilon shrinks the boxes around the text's own word vectors, as in the paper's schedule."""
    model = build_model(kind, num_labels=3).eval()
    ids, keep, labels = drawn(5)
    table, lower = model.get_input_embeddings().weight, IntervalBounds(model)(ids, keep, labels, 0.3)
    own = table[ids[..., 0]]
    for choice in product(range(3), repeat=4):
        moved = own + 0.3 * (table[ids[:, torch.arange(4), torch.tensor(choice)]] - own)
        logits = model(inputs_embeds=moved, attention_mask=keep.long()).logits
        assert (lower <= logits.gather(1, labels.unsqueeze(1)) - logits + SLACK).all()


def linear_model(filters: int) -> Any:
    """A CNN whose filters read one word and whose ReLU lets everything pass."""
    model = CnnForSequenceClassification(
        CnnConfig(vocab_size=20, embedding_size=4, filter_widths=(1,), num_filters=filters, num_labels=2)
    ).eval()
    torch.nn.init.normal_(model.embeddings.weight, generator=torch.Generator().manual_seed(3))
    model.filters[0].bias.data.fill_(100.0)
    return model


@torch.no_grad()
def test_closed_form_of_a_linear_model() -> None:
    r"""Of one word: :math:`\sum_h \min_s d_h (w_h e_s + b_h) + \delta`, with d the difference of the classes."""
    model, ids = linear_model(6), torch.tensor([[[4, 9, 13]]])
    features = model.embeddings.weight[ids[0, 0]] @ model.filters[0].weight[:, :, 0].T + model.filters[0].bias
    difference = model.classifier.weight[1] - model.classifier.weight[0]
    constant = model.classifier.bias[1] - model.classifier.bias[0]
    expected = (difference * features).amin(0).sum() + constant
    lower = IntervalBounds(model)(ids, torch.ones(1, 1, dtype=torch.bool), torch.tensor([1]))
    assert lower[0, 0].item() == pytest.approx(expected.item(), rel=1e-5)
    assert lower[0, 1] == 0


@torch.no_grad()
def test_one_changed_word_in_a_linear_model_is_bounded_exactly() -> None:
    model, labels, keep = linear_model(1), torch.tensor([0]), torch.ones(1, 1, dtype=torch.bool)
    for row in range(4, 16):
        ids = torch.tensor([[[row, row + 1, row + 2, row + 3]]])
        worst = enumerated(model, ids, keep, labels)
        assert torch.allclose(IntervalBounds(model)(ids, keep, labels), worst, atol=1e-4)


@torch.no_grad()
def test_each_filter_of_a_cnn_has_exact_bounds() -> None:
    """Places of a filter are independent: one filter and one window, so that nothing is lost."""
    config = CnnConfig(vocab_size=64, embedding_size=4, filter_widths=(3,), num_filters=1, num_labels=2)
    model = CnnForSequenceClassification(config).eval()
    keep = torch.tensor([[False, True, False]])
    model.filters[0].bias.data.fill_(5.0)
    ids, _, labels = drawn(2, rows=1, length=3)
    worst = enumerated(model, ids, keep, labels % 2)
    assert torch.allclose(IntervalBounds(model)(ids, keep, labels % 2), worst, atol=SLACK)


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4))
@settings(max_examples=80, deadline=None)
def test_products_with_a_gate_are_the_extremes_of_the_corners(ends: list[float]) -> None:
    first = Interval(*(torch.tensor([value]) for value in sorted(ends[:2])))
    gate = Interval(*(torch.tensor([value]) for value in sorted(map(abs, ends[2:]))))
    corners = [one * other for one in first for other in gate]
    found = first.times(gate)
    assert found.lower == min(corners) and found.upper == max(corners)


@pytest.mark.parametrize("kind", BOUNDED)
def test_padding_changes_no_bound(kind: str) -> None:
    bounds = IntervalBounds(build_model(kind, num_labels=3).eval())
    ids, keep, labels = drawn(7)
    keep[:] = True
    alone = bounds(ids, keep, labels)
    for side in ((0, 3), (3, 0), (2, 2)):
        padded = torch.nn.functional.pad(ids.transpose(1, 2), side).transpose(1, 2)
        assert torch.allclose(bounds(padded, torch.nn.functional.pad(keep, side), labels), alone, atol=SLACK)
    nothing = bounds(ids, torch.zeros_like(keep), labels)
    assert torch.allclose(nothing, margins_of(bounds.model, ids[..., 0], torch.zeros_like(keep), labels), atol=SLACK)


def test_half_precision_around_it_does_not_reach_the_bounds() -> None:
    bounds, batch = IntervalBounds(build_model(BOUNDED[0], num_labels=3).eval()), drawn(9)
    with torch.autocast("cpu", torch.bfloat16):
        inside = bounds(*batch)
    assert inside.dtype == torch.float32 and torch.equal(inside, bounds(*batch))


def test_other_architectures_are_refused() -> None:
    with pytest.raises(ValueError, match="go through the LSTM and the CNN of this package, and this model is of type"):
        IntervalBounds(build_model())
