"""TaiChi's pair statistics (closed forms, naive loop, seeded draws), and sentence embeddings with logits."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from tiny import build_model, build_tokenizer, pair_rows, review_rows
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_robust.interpret.pair_statistics import States, pair_statistics, rows_of_other_labels, sentence_states

TEXTS = [(row["sentence"],) for row in review_rows(70)]


@pytest.mark.parametrize("pooling", ["cls", "mean_pool"])
def test_a_batch_gives_what_each_text_alone_gives(pooling: str) -> None:
    model, tokenizer = build_model().eval(), build_tokenizer()
    states = sentence_states(model, tokenizer, TEXTS, pooling)
    assert states.embeddings.shape == (70, 16) and states.logits.shape == (70, 2)
    for index in (0, 13, 69):
        outputs = model(**tokenizer(TEXTS[index][0], return_tensors="pt"), output_hidden_states=True)
        hidden = outputs.hidden_states[-1][0]
        expected = hidden[0] if pooling == "cls" else hidden.mean(dim=0)  # [CLS] and [SEP] are in it
        assert torch.allclose(states.embeddings[index], expected, atol=1e-5)
        assert torch.allclose(states.logits[index], outputs.logits[0], atol=1e-5)


def test_pairs_are_encoded_as_pairs_and_cut() -> None:
    model, tokenizer = build_model(num_labels=3), build_tokenizer()
    rows = [(row["sentence1"], row["sentence2"]) for row in pair_rows(3)]
    first = sentence_states(model, tokenizer, rows, "cls")
    assert not torch.equal(first.logits, sentence_states(model, tokenizer, [row[:1] for row in rows], "cls").logits)
    longer = [(f"{one} {one}", two) for one, two in rows]
    cut = [sentence_states(model, tokenizer, some, "cls", max_length=3).logits for some in (rows, longer)]
    assert cut[0].shape == (3, 3)


def test_eval_mode_and_the_mode_comes_back() -> None:
    model, tokenizer = build_model(dropout=0.5), build_tokenizer()
    model.train()
    model.classifier.eval()
    first, second = (sentence_states(model, tokenizer, TEXTS[:5], "mean_pool") for _ in range(2))
    assert torch.equal(first.embeddings, second.embeddings)
    assert model.training and model.bert.training and not model.classifier.training


def test_no_texts_and_models_without_states_are_one_sentence() -> None:
    class Opaque(torch.nn.Linear):
        def forward(self, **batch: Any) -> Any:  # type: ignore[override]
            return SequenceClassifierOutput(logits=torch.zeros(len(batch["input_ids"]), 2))

    with pytest.raises(ValueError, match="no text to embed"):
        sentence_states(build_model(), build_tokenizer(), [], "cls")
    with pytest.raises(ValueError, match="Opaque returns none"):
        sentence_states(Opaque(1, 1), build_tokenizer(), TEXTS[:2], "cls")


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
    other = rows_of_other_labels(LABELS, random.Random("3:0"))
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
    chosen = rows_of_other_labels(LABELS, random.Random(0))
    assert all(LABELS[row] != LABELS[other] for row, other in enumerate(chosen))
    assert len({(label, other) for label, other in zip(LABELS, chosen, strict=True)}) == 3
    assert pair_statistics(CLEAN, CHANGED, LABELS, seed=1) == pair_statistics(CLEAN, CHANGED, LABELS, seed=1)
    several = pair_statistics(CLEAN, CHANGED, LABELS, draws=20, seed=1)
    assert several.mse_neg_std > 0 and several.num_draws == 20
    rows = [rows_of_other_labels(LABELS, random.Random(f"1:{draw}")) for draw in range(20)]
    each = [(CLEAN.embeddings - CLEAN.embeddings[row]).square().mean().item() for row in rows]
    assert several.mse_neg == pytest.approx(sum(each) / 20)


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="need two labels, and all 7 pairs have one"):
        pair_statistics(CLEAN, CHANGED, [1] * 7)
    with pytest.raises(ValueError, match="got 7 clean texts, 7 adversarial ones and 2 labels"):
        pair_statistics(CLEAN, CHANGED, [0, 1])
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        pair_statistics(CLEAN, CHANGED, LABELS, draws=0)
