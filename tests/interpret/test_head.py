"""Pooling of heads: known results for every architecture, and models without a known pooling."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, build_architecture
from tiny import build_model, build_tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification

from hf_robust.interpret.head import EMBEDDINGS, HEAD, chosen_pooling
from hf_robust.losses import POOLINGS

FIRST = ("bert", "roberta", "distilbert", "albert", "electra", "deberta-v2", "modernbert", "mpnet", "funnel")
EXPECTED = {
    **dict.fromkeys(FIRST, "cls"),
    **dict.fromkeys(("xlnet", "t5", "bart", "gpt2", "llama", "qwen2"), "last_token"),
    **dict.fromkeys(("hf_robust_lstm", "hf_robust_cnn"), "max_pool"),
}
SIDES = [
    (kind, side)
    for kind, one in ARCHITECTURES.items()
    for side in one.sides
    if side == "right" or EXPECTED[kind] != "cls"
]


def tokenizer_on(side: str) -> Any:
    tokenizer = build_tokenizer()
    tokenizer.padding_side = side
    return tokenizer


@pytest.mark.parametrize(("kind", "side"), SIDES)
def test_the_head_reads_what_the_architecture_says(kind: str, side: str) -> None:
    model = build_architecture(kind)
    weights = {name: (one.clone(), one.requires_grad) for name, one in model.named_parameters()}
    assert chosen_pooling(model, tokenizer_on(side), HEAD, "no") == EXPECTED[kind]
    assert model.training
    for name, one in model.named_parameters():
        assert torch.equal(one, weights[name][0]) and one.grad is None and one.requires_grad == weights[name][1]


def test_modernbert_may_read_the_mean() -> None:
    config = AutoConfig.for_model(
        "modernbert", vocab_size=64, pad_token_id=0, classifier_pooling="mean", **ARCHITECTURES["modernbert"].config
    )
    model = AutoModelForSequenceClassification.from_config(config)
    assert chosen_pooling(model, build_tokenizer(), HEAD, "no") == "mean_pool"


@pytest.mark.parametrize("kind", ["bert", "xlnet", "gpt2"])
def test_a_frozen_encoder_and_adapters_change_nothing(kind: str) -> None:
    model = build_architecture(kind)
    model.base_model.requires_grad_(False)
    tokenizer = tokenizer_on("left" if kind == "xlnet" else "right")
    assert chosen_pooling(model, tokenizer, HEAD, "no") == EXPECTED[kind]
    assert not any(one.requires_grad for one in model.base_model.parameters())
    peft = pytest.importorskip("peft")
    names = {"bert": ["query"], "xlnet": ["summary"], "gpt2": ["c_attn"]}[kind]
    adapted = peft.get_peft_model(build_architecture(kind), peft.LoraConfig("SEQ_CLS", target_modules=names, r=2))
    assert chosen_pooling(adapted, tokenizer, HEAD, "no") == EXPECTED[kind]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "hf_robust_lstm", "hf_robust_cnn"])
def test_the_first_token_of_a_model_that_reads_on_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="the pooling cls ignores the text in .*Classification.*; take another."):
        chosen_pooling(build_architecture(kind), build_tokenizer(), "cls", "take another")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_named_pooling_is_used_if_it_reads_the_text(pooling: str) -> None:
    assert chosen_pooling(build_model(), build_tokenizer(), pooling, "no") == pooling


def test_a_tokenizer_without_padding_will_do() -> None:
    tokenizer = build_tokenizer()
    tokenizer.pad_token = None
    assert chosen_pooling(build_architecture("gpt2"), tokenizer, HEAD, "no") == "last_token"


def test_heads_that_read_otherwise_are_refused() -> None:
    """A head that reads a fixed position reads padding in a left-padded text; another head reads two states."""
    with pytest.raises(ValueError, match="the head of BertForSequenceClassification reads neither .*; say cls."):
        chosen_pooling(build_model(), tokenizer_on("left"), HEAD, "say cls")
    model = build_model("distilbert")
    forward = model.distilbert.forward

    def of_two(*args: Any, **inputs: Any) -> Any:
        outputs = forward(*args, **inputs)
        outputs.last_hidden_state = outputs[0] + outputs[0].roll(1, dims=1)
        return outputs

    model.distilbert.forward = of_two
    with pytest.raises(ValueError, match="the head of Distil.* reads neither"):
        chosen_pooling(model, build_tokenizer(), HEAD, "no")
    assert set(EMBEDDINGS) == {HEAD, *POOLINGS}


def test_poolings_of_states_by_token_are_refused_where_states_are_fewer() -> None:
    with pytest.raises(ValueError, match="mean_pool pools one last hidden state.*8 of 16 tokens; take cls."):
        chosen_pooling(build_architecture("funnel"), build_tokenizer(), "mean_pool", "take cls")
