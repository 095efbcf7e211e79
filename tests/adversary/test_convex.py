"""Mixtures of neighbours' embeddings, and the two rules that move their weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, VOCABULARY, build_architecture, padded_batch
from hypothesis import given
from hypothesis import strategies as st
from tiny import build_model
from torch import nn

from hf_robust.adversary import AdamRule, Hull, SparseWeights, SteppedWeights, StepRule, perturbed, word_embeddings

LENGTH, VERTICES = 4, 3


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def layer(rows: int = 12, width: int = 5) -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(rows, width)


def hull(look_up: Any = None, counts: tuple[int, ...] = (1, 3, 2, 1)) -> Hull:
    """One text of ids 4..7; each token has up to three vertices: itself and the next two ids."""
    ids = torch.arange(4, 4 + LENGTH).unsqueeze(1) + torch.arange(VERTICES)
    valid = torch.arange(VERTICES) < torch.tensor(counts).unsqueeze(1)
    return Hull(ids.unsqueeze(0), valid.unsqueeze(0), layer().forward if look_up is None else look_up)


def stepped(logits: torch.Tensor, given_hull: Hull, length: float = 1.0) -> SteppedWeights:
    return SteppedWeights(logits, given_hull.mask, given_hull, StepRule(length, norm="token_l2"))


def sparse(logits: torch.Tensor, given_hull: Hull, alpha: float, decay: float = 0.0) -> SparseWeights:
    counts, zeros = torch.full((len(logits), 1, 1), 4.0), torch.zeros_like(logits)
    return SparseWeights(logits, given_hull.mask, given_hull, AdamRule(1.0, decay), alpha, counts, zeros, zeros)


@given(st.lists(st.floats(-50, 50, width=32), min_size=12, max_size=12))
def test_weights_sum_to_one_over_the_vertices_and_are_zero_elsewhere(values: list[float]) -> None:
    found = hull()
    weights = stepped(torch.tensor(values).view(1, LENGTH, VERTICES), found).weights
    assert torch.allclose(weights.sum(-1), torch.ones(1, LENGTH), atol=1e-6)
    assert weights[~found.valid].eq(0).all() and weights.ge(0).all()


def test_mixture_is_the_weighted_sum_of_the_look_ups() -> None:
    table, logits = layer(), torch.randn(1, LENGTH, VERTICES)
    found = hull(table.forward)
    point = stepped(logits, found)
    expected = (point.weights.unsqueeze(-1) * table(found.ids) * found.valid.unsqueeze(-1)).sum(-2)
    assert torch.allclose(point(table(found.ids[..., 0])), expected, atol=1e-6)


def test_tokens_without_neighbours_keep_their_embedding_to_the_bit() -> None:
    table = layer()
    embeddings = table(hull().ids[..., 0]) * 1.1
    mixed = stepped(torch.randn(1, LENGTH, VERTICES), hull(table.forward))(embeddings)
    assert torch.equal(mixed[0, [0, 3]], embeddings[0, [0, 3]]) and not torch.equal(mixed, embeddings)
    assert hull().mask.flatten().tolist() == [0.0, 1.0, 1.0, 0.0]


def test_one_vertex_each_is_the_clean_text_and_still_differentiable() -> None:
    table = layer()
    alone = hull(table.forward, counts=(1, 1, 1, 1))
    point = stepped(torch.randn(1, LENGTH, VERTICES), alone).attached()
    embeddings = table(alone.ids[..., 0])
    assert torch.equal(point(embeddings), embeddings)
    (gradient,) = torch.autograd.grad(point(embeddings).sum(), point.leaves)
    assert gradient.eq(0).all()


def test_gradient_reaches_the_embeddings_of_all_vertices() -> None:
    table = layer()
    point = stepped(torch.zeros(1, LENGTH, VERTICES), hull(table.forward))
    (gradient,) = torch.autograd.grad(point(table(point.hull.ids[..., 0])).sum(), table.weight)
    expected = torch.zeros(12)
    for token, count in zip(range(4, 8), (1, 3, 2, 1), strict=True):
        expected[token : token + count] += 1 / count
    assert torch.allclose(gradient[:, 0], expected, atol=1e-6)


def test_autocast_does_not_round_the_mixture() -> None:
    table, logits = layer(), torch.randn(1, LENGTH, VERTICES)
    point = stepped(logits, hull(table.forward))
    plain = point(table(point.hull.ids[..., 0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(point(table(point.hull.ids[..., 0])), plain)


def test_look_up_ignores_the_layers_hooks() -> None:
    table = layer()
    point = stepped(torch.zeros(1, LENGTH, VERTICES), hull(table.forward))
    clean = table(point.hull.ids[..., 0])
    plain = point(clean)
    handle = table.register_forward_hook(lambda module, inputs, output: output + 100.0)
    assert torch.equal(point(clean), plain)
    handle.remove()


def test_a_vertex_of_weight_one_is_the_substituted_text() -> None:
    model = build_model().eval()
    ids = torch.tensor([[2, 7, 8, 3]])
    table: Any = word_embeddings(model)[0]
    other = torch.tensor([[2, 9, 10, 3]])
    found = Hull(torch.stack([ids, other], -1), torch.stack([ids > 0, ids > 3], -1), table.forward)
    logits = torch.tensor([-1e4, 1e4]).expand(1, 4, 2)
    with perturbed(model, stepped(logits, found)):
        mixed = model(ids).logits
    assert torch.allclose(mixed, model(other).logits, atol=1e-6)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_weight_one_on_the_word_itself_is_the_clean_text_in_every_architecture(kind: str) -> None:
    model, batch = build_architecture(kind).eval(), padded_batch(ARCHITECTURES[kind].sides[0])
    layers: Any = word_embeddings(model)
    for one in layers if kind == "bart" else ():
        one.embed_scale = 4.0
    ids = batch["input_ids"]
    found = Hull(torch.stack([ids, VOCABULARY - ids], -1), torch.stack([ids >= 0, ids > 4], -1), layers[0].forward)
    clean = model(**batch).logits
    for value, same in ((1e4, True), (-1e4, False)):
        with perturbed(model, stepped(torch.tensor([value, -value]).expand(*ids.shape, 2), found)):
            mixed = model(**batch).logits
        assert torch.allclose(mixed, clean, atol=1e-6) == same


def test_a_step_of_log_weights_has_the_length_that_is_asked_for() -> None:
    found, logits = hull(), torch.zeros(1, LENGTH, VERTICES)
    gradient = torch.randn(1, LENGTH, VERTICES)
    moved = stepped(logits, found, length=10.0).moved((gradient,)).logits
    expected = gradient * found.valid
    expected = 10.0 * expected / expected.norm(dim=-1, keepdim=True)
    assert torch.allclose(moved, expected, atol=1e-5)


def test_sparse_weights_move_as_torch_adam_does() -> None:
    torch.manual_seed(1)
    found, values = hull(counts=(3, 3, 2, 1)), torch.randn(1, LENGTH, VERTICES)
    target = torch.randn(1, LENGTH, VERTICES)
    naive = values.clone().requires_grad_()
    adam = torch.optim.Adam([naive], lr=1.0, weight_decay=2e-5)
    point = sparse(values, found, alpha=10.0, decay=2e-5)
    for _ in range(4):
        masked = naive.masked_fill(~found.valid, -999.0)
        weights = masked.softmax(-1)
        entropy = -(weights * masked.log_softmax(-1)).sum(-1).mean()
        adam.zero_grad()
        (-(weights * target).sum() + 10.0 * entropy).backward()
        adam.step()
        attached = point.attached()
        gradients = torch.autograd.grad((attached.weights * target).sum(), attached.leaves)
        point = attached.detached().moved(gradients)
    assert torch.allclose(point.logits[found.valid], naive[found.valid], atol=1e-4)


def test_entropy_gradient_is_the_entropys() -> None:
    found, values = hull(), torch.randn(1, LENGTH, VERTICES)
    point = sparse(values, found, 1.0)
    leaf = values.clone().requires_grad_()
    weights = leaf.masked_fill(~found.valid, -999.0).softmax(-1)
    entropy = -(weights * weights.clamp(min=1e-30).log()).sum() / 4.0
    assert point.entropy.item() == pytest.approx(entropy.item(), abs=1e-6)
    assert torch.allclose(point.entropy_gradient(), torch.autograd.grad(entropy, leaf)[0], atol=1e-6)


def test_the_penalty_alone_leads_to_one_vertex() -> None:
    point = sparse(torch.randn(1, LENGTH, VERTICES), hull(counts=(3, 3, 3, 3)), alpha=10.0)
    first = point.entropy
    for _ in range(10):
        point = point.moved((torch.zeros(1, LENGTH, VERTICES),))
    assert point.entropy < 0.05 * first and point.weights.amax(-1).min() > 0.9


def test_a_text_with_an_infinite_gradient_stays_where_it_is() -> None:
    single = hull()
    both = Hull(single.ids.repeat(2, 1, 1), single.valid.repeat(2, 1, 1), single.look_up)
    gradient = torch.randn(2, LENGTH, VERTICES)
    gradient[0, 1, 1] = torch.inf
    values = torch.randn(2, LENGTH, VERTICES)
    for point in (sparse(values, both, 1.0), stepped(values, both)):
        moved = point.moved((gradient,))
        assert torch.equal(moved.logits[0], values[0]) and not torch.equal(moved.logits[1], values[1])
        assert moved.moved((torch.ones_like(gradient),)).logits.isfinite().all()


def test_a_text_moves_the_same_whatever_else_is_in_the_batch() -> None:
    single = hull()
    both = Hull(single.ids.repeat(2, 1, 1), single.valid.repeat(2, 1, 1), single.look_up)
    values, gradient = torch.randn(2, 2, LENGTH, VERTICES)
    for build in (lambda v, h: sparse(v, h, 3.0), stepped):
        alone = build(values[:1], single).moved((gradient[:1],)).logits
        assert torch.equal(build(values, both).moved((gradient,)).logits[:1], alone)
