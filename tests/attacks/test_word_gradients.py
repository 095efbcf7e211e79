"""Gradients by word where words are looked up in several layers, transposed, or with padding of the model's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import SYNONYMS, AnyChange, build_tokenizer, table
from transformers import AutoModelForSequenceClassification, set_seed

from benchmarks.architectures.configs import tiny_config
from hf_robust.adversary import at_look_ups, word_embeddings
from hf_robust.attacks import ATTACKS, Example, Plans, Resources, Victim, attack_dataset, check_attack
from hf_robust.attacks.engine.batches import Padder, to_device
from hf_robust.attacks.engine.losses import LOSSES
from hf_robust.words import NLTK_STOP_WORDS, Text

KINDS = ("bert", "t5", "umt5", "bart", "mbart", "longformer", "big_bird", "xlnet", "llama", "funnel")
TEXTS = [Text(("a good film and very warm music.",)), Text(("bad plot.",)), Text(("the story was cold and dreadful",))]


def victim_of(kind: str) -> Victim:
    config = tiny_config(kind, num_labels=2)
    for name in ("initializer_range", "init_std"):
        if hasattr(config, name):
            setattr(config, name, 0.3)
    set_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    tokenizer = build_tokenizer()
    tokenizer.padding_side = "left" if kind == "xlnet" else "right"
    return Victim(model, tokenizer, max_length=16)


def batch_of(victim: Victim) -> dict[str, Any]:
    encoded = victim._tokens.encode([text.columns for text in TEXTS])
    return to_device(Padder(victim.tokenizer)(encoded), victim.device)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_how_the_loss_changes_with_the_embeddings(kind: str) -> None:
    victim = victim_of(kind)
    victim.model.double()
    batch = batch_of(victim)
    gradients = victim._embedding_gradients(batch, "margin").double()
    width = word_embeddings(victim.model)[0].weight.shape[1]
    assert gradients.shape == (*batch["input_ids"].shape, width)
    direction = torch.randn(gradients.shape, generator=torch.Generator().manual_seed(1)).double()
    labels = victim.model(**batch).logits.argmax(-1)

    def loss_at(step: float) -> float:
        with torch.no_grad(), at_look_ups(victim.model, batch["input_ids"], lambda words: words + step * direction):
            return float(LOSSES["margin"](victim.model(**batch).logits, labels))

    slope = (loss_at(1e-3) - loss_at(-1e-3)) / 2e-3  # some norms compute in float32
    assert abs(slope) > 1e-4
    assert float((gradients * direction).sum()) == pytest.approx(slope, rel=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_each_text_the_gradient_that_it_has_alone(kind: str) -> None:
    victim = victim_of(kind)
    together = victim.saliency(TEXTS)
    for text, importance in zip(TEXTS, together, strict=True):
        assert (importance > 0).any()
        if kind not in ("big_bird", "longformer"):  # how far they attend depends on the padded length
            assert np.allclose(victim.saliency([text])[0], importance, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["hotflip", "a2t", "gradient_mask"])
@pytest.mark.parametrize("kind", ["t5", "bart", "longformer"])
def test_attacks_by_gradient_run_on_them(kind: str, name: str) -> None:
    victim = victim_of(kind)
    resources = Resources(synonyms=table(SYNONYMS, "synonym"), stop_words=NLTK_STOP_WORDS, query_budget=20)
    attack = replace(ATTACKS[name](resources), goal=AnyChange())
    examples = [Example(number, text.columns, 0) for number, text in enumerate(TEXTS)]
    labels = victim.probabilities([example.texts for example in examples]).argmax(-1)
    examples = [example._replace(label=int(label)) for example, label in zip(examples, labels, strict=True)]
    check_attack(attack, victim, Plans(None), examples)
    records = attack_dataset(attack, victim, examples, plans=Plans(None), progress=False)
    assert any(record.status == "succeeded" and record.changed for record in records)
