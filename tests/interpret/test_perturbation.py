"""LIME: its linear model against the closed form, and the texts that it classifies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from interpret.interpret_parts import PresenceModel
from tiny import build_model

from hf_robust.interpret import lime, predicted_labels
from hf_robust.interpret.perturbation import deletions

WEIGHTS = {"good": 0.2, "splen": 0.07, "##did": 0.06, "film": 0.05, "bad": -0.1, "was": 0.0}


def presence(tokenizer: Any) -> PresenceModel:
    return PresenceModel({tokenizer.convert_tokens_to_ids(word): weight for word, weight in WEIGHTS.items()})


def test_a_model_linear_in_presence_gives_its_weights(tokenizer: Any) -> None:
    """Without regularisation the fit is exact: each word has its own weight, two pieces have their sum."""
    text = ("bad was good film, splendid.",)
    (exact,) = lime(presence(tokenizer), tokenizer, [text], ridge=1e-9)
    assert exact.words == ("bad", "was", "good", "film", "splendid")
    assert exact.values[1] == pytest.approx([-0.1, 0.0, 0.2, 0.05, 0.13], abs=1e-4)
    assert exact.values[0] == pytest.approx(-exact.values[1], abs=1e-6)
    (found,) = lime(presence(tokenizer), tokenizer, [text])
    assert found.values[1].argsort().tolist() == [0, 1, 3, 4, 2]
    assert exact.outputs == pytest.approx([1 - 0.78, 0.78], abs=1e-5) and exact.gap is None


def test_the_fit_is_weighted_ridge(tokenizer: Any) -> None:
    """Against the normal equations, with an intercept that is not regularised."""
    model, text = build_model(num_labels=3), ("the film was good and warm",)
    (found,) = lime(model, tokenizer, [text], samples=60, ridge=2.0, kernel_width=0.4)
    masks = deletions(6, 60, seed=0).astype(float)
    probabilities = []
    for mask in masks:
        kept = " ".join(word for word, keep in zip(text[0].split(), mask, strict=True) if keep)
        logits = model(**tokenizer(kept, return_tensors="pt"))["logits"][0]
        probabilities.append(logits.detach().double().softmax(-1).numpy())
    weights = np.exp(-(((1 - np.sqrt(masks.mean(1))) / 0.4) ** 2))
    design = np.hstack([masks, np.ones((60, 1))])
    penalty = 2.0 * np.diag([1.0] * 6 + [0.0])
    solution = np.linalg.solve(
        design.T @ (weights[:, None] * design) + penalty, design.T @ (weights[:, None] * np.array(probabilities))
    )
    assert found.values == pytest.approx(solution[:6].T, abs=1e-5)


def test_both_texts_of_a_pair_lose_the_same_words(tokenizer: Any) -> None:
    model = build_model()
    first, second = lime(model, tokenizer, [("a good film",), ("a good film",)], samples=50)
    assert first.values.tolist() == second.values.tolist()
    (other,) = lime(model, tokenizer, [("a good film",)], samples=50, seed=1)
    assert other.values.tolist() != first.values.tolist()


def test_batch_size_and_company_change_nothing(tokenizer: Any) -> None:
    model, texts = build_model(), [("the plot was bad", "a splendid picture."), ("warm music", "not good")]
    whole = lime(model, tokenizer, texts, samples=40)
    (alone,) = lime(model, tokenizer, texts[1:], samples=40, batch_size=3)
    assert alone.values == pytest.approx(whole[1].values, abs=1e-6)
    assert whole[0].words == ("the", "plot", "was", "bad", "a", "splendid", "picture")


def test_equal_deletions_go_through_the_model_once(tokenizer: Any) -> None:
    model, rows = presence(tokenizer), []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    lime(model, tokenizer, [("good film",)], samples=500)
    assert sum(rows) == 4  # two words have four subsets


def test_train_mode_and_random_state_stay(tokenizer: Any) -> None:
    model = build_model(dropout=0.5)
    model.train()
    state = torch.get_rng_state()
    first, second = (lime(model, tokenizer, [("a good film",)], samples=20)[0] for _ in range(2))
    assert first.values.tolist() == second.values.tolist()
    assert model.training and torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_predict_is_what_is_explained(tokenizer: Any) -> None:
    model = presence(tokenizer)
    (found,) = lime(
        model, tokenizer, [("good film",)], predict=lambda model, batch: model(**batch)["logits"].flip(-1), ridge=1e-9
    )
    assert found.values[0] == pytest.approx([0.2, 0.05], abs=1e-4)


def test_truncated_words_are_neither_deleted_nor_explained(tokenizer: Any) -> None:
    (found,) = lime(presence(tokenizer), tokenizer, [("good film bad",)], samples=30, max_length=4, ridge=1e-9)
    assert found.covered.tolist() == [True, True, False]
    assert found.values[1] == pytest.approx([0.2, 0.05, 0.0], abs=1e-4)


@given(st.integers(0, 12), st.integers(2, 40), st.integers(0, 3), st.booleans())
def test_deletions(words: int, samples: int, seed: int, spare: bool) -> None:
    masks = deletions(words, samples, seed, spare)
    assert masks.shape == (samples, words) and masks[0].all()
    if words > 1 or (words and spare):
        assert not masks[1:].all(axis=1).any()  # each sample but the first lacks a word
    if not spare and words:
        assert masks.any(axis=1).all()
    assert (masks == deletions(words, samples, seed, spare)).all()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"samples": 1}, "--samples must be at least 2 and the batch size 1, got 1 and 64"),
        ({"kernel_width": 0.0}, "kernel_width must be above 0 and ridge not below it, got 0.0"),
        ({"ridge": -1.0}, "got 0.25 and -1.0"),
        ({"seed": -1}, "--seed must be at least 0, got -1"),
    ],
)
def test_bad_numbers(tokenizer: Any, flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lime(build_model(), tokenizer, [("a",)], **flags)


def test_predicted_labels_keep_their_order(tokenizer: Any) -> None:
    model = presence(tokenizer)
    texts = [("good film was film bad",), ("bad bad bad bad",), ("good",)]
    assert predicted_labels(model, tokenizer, texts, batch_size=2) == [1, 0, 1]
    assert predicted_labels(model, tokenizer, []) == []
