"""The model behind its interface: probabilities, gradients, batches, and what cannot be attacked."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from attack_parts import probabilities_of, saliency_of, texts, victim
from hypothesis import given
from hypothesis import strategies as st
from tiny import KINDS, build_model, build_tokenizer
from transformers import XLNetConfig, XLNetForSequenceClassification

from hf_robust.attacks import Victim, weights_hash
from hf_robust.attacks.batches import packed
from hf_robust.words import Text


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_single_texts(kind):
    target = victim(build_model(kind, num_labels=3), token_budget=50)
    for columns in (1, 2):
        found = texts(12, columns)
        probabilities = target.probabilities(found)
        assert probabilities.dtype == np.float64 and np.allclose(probabilities.sum(-1), 1)
        for one, row in zip(found, probabilities, strict=True):
            assert row == pytest.approx(probabilities_of(target, one), abs=1e-5)


def test_left_padding_follows_the_tokenizer():
    tokenizer = build_tokenizer()
    tokenizer.padding_side = "left"
    torch.manual_seed(0)
    # XLNet reads its summary at the last place, so it is padded on the left.
    sizes = {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16, "initializer_range": 0.3, "dropout": 0.0}
    model = XLNetForSequenceClassification(XLNetConfig(vocab_size=64, pad_token_id=0, **sizes))
    target, found = Victim(model, tokenizer, token_budget=60), [Text(one) for one in texts(8)]
    for text, row in zip(found, target.probabilities([text.columns for text in found]), strict=True):
        assert row == pytest.approx(probabilities_of(target, text.columns), abs=1e-5)
    for text, saliency in zip(found, target.saliency(found), strict=True):
        assert saliency == pytest.approx(target.saliency([text])[0], rel=1e-3) and (saliency > 0).all()


@pytest.mark.parametrize("kind", ["bert", "electra", "distilbert"])
def test_saliency_is_the_gradient_of_single_texts(kind):
    target = victim(build_model(kind), token_budget=40)
    found = [Text(one) for one in texts(8, 2)] + [Text(("splendid dreadful picture", ""))]
    for text, saliency in zip(found, target.saliency(found), strict=True):
        assert saliency == pytest.approx(saliency_of(target, text), rel=1e-3, abs=1e-6)


def test_saliency_of_words_beyond_the_truncation_is_zero():
    target = victim(max_length=5)
    (saliency,) = target.saliency([Text(("good film was warm and cold",))])
    assert (saliency[:3] > 0).all() and (saliency[3:] == 0).all()


def test_train_mode_gives_eval_numbers_and_comes_back():
    model = build_model(dropout=0.5)
    target, text = victim(model), ("good film",)
    expected = target.probabilities([text])
    model.train()
    model.dropout.eval()
    assert np.allclose(target.probabilities([text]), expected)
    assert np.allclose(target.saliency([Text(text)])[0], target.saliency([Text(text)])[0])
    assert model.training and not model.dropout.training


def test_inference_transform_and_autocast_are_used():
    entered = []

    @contextmanager
    def autocast():
        entered.append(1)
        yield

    model = build_model()
    plain = victim(model).probabilities([("good",)])
    flipped = victim(model, inference=lambda m, batch: m(**batch).logits.flip(-1), autocast=autocast)
    assert np.allclose(flipped.probabilities([("good",)]), plain[:, ::-1])
    whole = victim(model, inference=lambda m, batch: m(**batch))
    assert np.array_equal(whole.probabilities([("good",)]), plain)
    flipped.saliency([Text(("good",))])
    assert len(entered) == 2


def test_queries_and_forwards_are_counted():
    target = victim(token_budget=8)
    target.probabilities([("good film",), ("good film",), ("bad film",), ("GOOD film",)])
    assert (target.queries, target.forwards) == (4, 1)
    target.probabilities([("good film",), ("bad film",), ("cold film",)])
    assert (target.queries, target.forwards) == (7, 3)
    assert target.probabilities([]).shape == (0, 2)


def test_token_types_are_given_where_the_tokenizer_has_them():
    tokenizer = build_tokenizer()
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    target = Victim(build_model(), tokenizer)
    for one in texts(4, 2):
        assert target.probabilities([one])[0] == pytest.approx(probabilities_of(target, one), abs=1e-5)


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 100))
def test_packing_keeps_the_budget_and_every_place(lengths, budget):
    batches = list(packed(lengths, budget))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    flat = [lengths[place] for batch in batches for place in batch]
    assert flat == sorted(flat, reverse=True)


def test_lengths_come_from_the_tokenizer_then_the_model():
    tokenizer, model = build_tokenizer(), build_model()
    assert Victim(model, tokenizer).max_length == 64
    tokenizer.model_max_length = int(1e30)
    assert Victim(model, tokenizer).max_length == 80
    assert Victim(build_model("roberta"), tokenizer).max_length == 79
    assert Victim(model, tokenizer, max_length=9).max_length == 9
    model.config.max_position_embeddings = -1
    assert Victim(model, tokenizer).max_length is None


def test_what_cannot_be_attacked_is_one_sentence():
    with pytest.raises(ValueError, match="got a regression model"):
        victim(build_model(num_labels=1))
    model = build_model()
    with pytest.raises(ValueError, match="got a model of one output"):
        victim(model, inference=lambda m, batch: m(**batch).logits[:, :1]).probabilities([("a",)])
    with pytest.raises(ValueError, match="--attack_token_budget"):
        victim(model, token_budget=0)
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="logits are not finite"):
        victim(model).probabilities([("a",)])
    tokenizer = build_tokenizer()
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="set tokenizer.pad_token"):
        Victim(model, tokenizer)
    slow = SimpleNamespace(is_fast=False, pad_token_id=0, padding_side="right", model_max_length=9)
    with pytest.raises(ValueError, match="needs a fast tokenizer, got SimpleNamespace"):
        Victim(model, slow).saliency([Text(("a",))])


def test_weights_hash_follows_the_weights():
    model, twin, other = build_model(seed=0), build_model(seed=0), build_model(seed=1)
    assert weights_hash(model) == weights_hash(twin) != weights_hash(other)
    with torch.no_grad():
        twin.classifier.bias[0] += 1e-3
    assert weights_hash(model) != weights_hash(twin)
    assert weights_hash(model.to(torch.bfloat16)) != weights_hash(build_model(seed=0))
