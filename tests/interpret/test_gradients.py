"""Integrated gradients: exact for linear models, complete for others, and without side effects."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
from interpret.interpret_parts import LinearModel
from tiny import KINDS, build_model, build_tokenizer
from torch import nn

from hf_robust.interpret import REFERENCES, integrated_gradients
from hf_robust.interpret.reader import Reader

TEXT = ("a good splendid film, very warm.",)
PAIR = ("the plot was bad", "a splendid picture.")


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("steps", [1, 7])
def test_a_linear_model_is_exact_with_any_number_of_steps(tokenizer: Any, reference: str, steps: int) -> None:
    model = LinearModel()
    (found,) = integrated_gradients(model, tokenizer, [TEXT], reference=reference, steps=steps)
    table = model.embed.weight.detach()
    start = table[tokenizer.pad_token_id] if reference == "pad" else torch.zeros(table.shape[1])
    for place, word in enumerate(found.words):
        pieces = tokenizer(word, add_special_tokens=False)["input_ids"]
        expected = sum(model.weight.detach() @ (table[piece] - start) for piece in pieces)
        assert found.values[:, place] == pytest.approx(expected.numpy(), abs=1e-5), word
    assert len(tokenizer("splendid", add_special_tokens=False)["input_ids"]) == 2
    assert found.completeness_error < 1e-4


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_completeness(tokenizer: Any, kind: str, reference: str) -> None:
    """Tiny models with large weights are far from linear: the error falls with the steps, to less than 1 %."""
    model = build_model(kind, num_labels=3)
    errors = []
    for steps in (5, 400):
        found = integrated_gradients(model, tokenizer, [TEXT, PAIR], reference=reference, steps=steps)
        assert all(one.values.shape == (3, len(one.words)) for one in found)
        assert all(one.difference is not None and np.abs(one.difference).max() > 0.005 for one in found)
        errors.append(max(float(np.abs(one.gap).max()) for one in found if one.gap is not None))
    assert errors[1] < 0.01 and errors[1] <= errors[0]


def test_words_of_both_columns_in_order(tokenizer: Any) -> None:
    (found,) = integrated_gradients(build_model(), tokenizer, [PAIR], steps=3)
    assert found.words == ("the", "plot", "was", "bad", "a", "splendid", "picture")
    assert found.covered.all() and np.abs(found.values).min() > 0


def test_truncated_words_have_no_attribution(tokenizer: Any) -> None:
    (found,) = integrated_gradients(build_model(), tokenizer, [TEXT], steps=3, max_length=4)
    assert found.covered.tolist() == [True, True, False, False, False, False]
    assert not found.values[:, 2:].any() and found.values[:, :2].any()


def test_a_text_of_no_word(tokenizer: Any) -> None:
    (found,) = integrated_gradients(build_model(), tokenizer, [("...",)], steps=2)
    assert found.values.shape == (2, 0) and found.words == ()


def test_batch_size_and_company_change_nothing(tokenizer: Any) -> None:
    model = build_model(num_labels=3)
    whole = integrated_gradients(model, tokenizer, [TEXT, PAIR], steps=10)
    (alone,) = integrated_gradients(model, tokenizer, [PAIR], steps=10, batch_size=1)
    assert alone.values == pytest.approx(whole[1].values, abs=1e-6)
    assert alone.outputs == pytest.approx(whole[1].outputs, abs=1e-6)


def test_nothing_is_left_behind(tokenizer: Any) -> None:
    model = build_model(dropout=0.5)
    model.train()
    model.classifier.eval()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    first, second = (integrated_gradients(model, tokenizer, [TEXT], steps=3)[0] for _ in range(2))
    assert first.values.tolist() == second.values.tolist()  # no dropout
    assert model.training and not model.classifier.training
    assert all(bool((parameter.grad == 1).all()) for parameter in model.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]
    assert not model.get_input_embeddings()._forward_hooks


def test_predict_is_what_is_explained(tokenizer: Any) -> None:
    """A prediction that embeds the text twice, as a mask network does: both embeddings are on the path."""
    model = LinearModel()

    def predict(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        importance = model.get_input_embeddings()(batch["input_ids"]).mean((1, 2))
        logits = model(**batch)["logits"]
        assert isinstance(logits, torch.Tensor)
        return logits * (1 + importance[:, None])

    (plain,) = integrated_gradients(model, tokenizer, [TEXT], steps=20)
    (masked,) = integrated_gradients(model, tokenizer, [TEXT], steps=20, predict=predict)
    reader = Reader(model, tokenizer, None, predict)
    batch = reader.batch([reader.tokens(TEXT).inputs])
    assert masked.outputs == pytest.approx(predict(model, batch)[0].detach().numpy(), abs=1e-5)
    assert masked.completeness_error < 0.01  # a quadratic function: the midpoint rule is exact
    assert np.abs(masked.values - plain.values).max() > 1e-3


def test_without_captum_one_sentence(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ValueError, match=r'need captum: pip install "hf_robust\[interpret\]"'):
        integrated_gradients(build_model(), tokenizer, [TEXT])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"reference": "mask"}, "--baseline must be one of pad, zero, got 'mask'"),
        ({"steps": 0}, "--steps and the batch size must be at least 1, got 0 and 64"),
        ({"batch_size": 0}, "must be at least 1, got 50 and 0"),
    ],
)
def test_bad_numbers(tokenizer: Any, flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        integrated_gradients(build_model(), tokenizer, [TEXT], **flags)


def test_what_cannot_be_explained(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="this model has a single output; use a classifier"):
        integrated_gradients(build_model(num_labels=1), tokenizer, [TEXT])
    with pytest.raises(ValueError, match="one or two columns, got 'a good film'"):
        integrated_gradients(build_model(), tokenizer, ["a good film"])
    with pytest.raises(ValueError, match="LinearModel predicts here without looking .*use an attack or --attribution"):
        integrated_gradients(LinearModel(), tokenizer, [TEXT], predict=lambda model, batch: torch.zeros(1, 2))

    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="need a fast tokenizer, got Slow"):
        integrated_gradients(build_model(), Slow(), [TEXT])
    unpadded = build_tokenizer()
    unpadded.pad_token = None
    with pytest.raises(ValueError, match="this one has none; set tokenizer.pad_token"):
        integrated_gradients(build_model(), unpadded, [TEXT])
