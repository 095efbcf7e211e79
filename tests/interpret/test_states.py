"""Embeddings and logits: one text at a time gives the same, the mode comes back, other models are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import build_model, build_tokenizer, pair_rows, review_rows
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_robust.interpret.pair_statistics import sentence_states

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

    with pytest.raises(ValueError, match="no text to represent"):
        sentence_states(build_model(), build_tokenizer(), [], "cls")
    with pytest.raises(ValueError, match="Opaque returns none"):
        sentence_states(Opaque(1, 1), build_tokenizer(), TEXTS[:2], "cls")
