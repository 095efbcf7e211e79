"""FLAT on the LSTM and the CNN: Eq. 4 on word vectors that stay, without attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_tokenizer, build_trainer
from transformers import AutoModelForSequenceClassification

from hf_robust.adversary import Noise
from hf_robust.modules.masking import Masking
from hf_robust.modules.word_mask import draw

KINDS = ("hf_robust_lstm", "hf_robust_cnn")
every_kind = pytest.mark.parametrize("kind", KINDS)
TEXTS = ["a splendid film.", "bad plot and cold music with a very bad ending."]


def batch_of(side: str) -> dict[str, torch.Tensor]:
    tokenizer = build_tokenizer()
    tokenizer.padding_side = side
    return dict(tokenizer(TEXTS, padding=True, return_tensors="pt"))


@pytest.mark.parametrize("side", ["right", "left"])
@every_kind
def test_a_training_pass_reads_the_drawn_words_in_their_places(kind: str, side: str, tmp_path: Path) -> None:
    """x' = r x (Eq. 4): a word that is drawn out is a zero vector, and neither it nor padding changes its place."""
    trainer: Any = build_trainer("flat", tmp_path, model=build_model(kind))
    mask: Masking = trainer.masking
    batch, noise, given = batch_of(side), Noise(3, 7), []
    with mask.sampled(noise):
        mask.model.register_forward_pre_hook(lambda m, a, k: given.append(k), with_kwargs=True)
        found = mask.model(**batch)["logits"]
    ids, real = batch["input_ids"], batch["attention_mask"]
    embedded = mask.model.get_input_embeddings()(ids)
    keep = draw(mask.network(embedded), ids, real, noise).round()
    keep = torch.where(torch.isin(ids, torch.tensor([0, 2, 3])), 1.0, keep)
    assert 0.0 < keep[real.bool()].mean() < 1.0
    assert torch.equal(given[-1]["attention_mask"], real)
    expected = mask.model(inputs_embeds=embedded * keep.unsqueeze(-1), attention_mask=real)["logits"]
    assert torch.allclose(found, expected, atol=1e-6)
    unpadded = mask.model(
        inputs_embeds=(embedded * keep.unsqueeze(-1))[0:1][:, real[0].bool()],
        attention_mask=torch.ones(1, int(real[0].sum())),
    )
    assert torch.allclose(found[:1], unpadded["logits"], atol=1e-6)


@every_kind
def test_word_vectors_that_stay_are_saved_times_their_importance(kind: str, tmp_path: Path) -> None:
    model = build_model(kind)
    table = model.get_input_embeddings().requires_grad_(False).weight
    start = table.clone()
    trainer: Any = build_trainer(
        "flat", tmp_path / "whole", model=model, max_steps=4, mask_learning_rate=1.0, save_strategy="steps",
        save_steps=2, optim="adamw_torch", learning_rate=5e-3, clean_epochs=1,
    )  # fmt: skip
    trainer.train()
    phi = trainer.masking.importances()
    assert torch.equal(table, start) and phi.std() > 0.1
    trainer.save_model(str(tmp_path / "saved"))
    saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(saved.get_input_embeddings().weight, start * phi.unsqueeze(1))
    trainer.model.eval()
    batch = batch_of("right")
    assert torch.equal(saved(**batch).logits, trainer.inference(trainer.model, batch).logits)
    # A resumed run has them as they were, not times their importance once more.
    other = build_model(kind, seed=9)
    other.get_input_embeddings().requires_grad_(False)
    again: Any = build_trainer(
        "flat", tmp_path / "again", model=other, max_steps=4, mask_learning_rate=1.0, optim="adamw_torch",
        learning_rate=5e-3, clean_epochs=1,
    )  # fmt: skip
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert torch.equal(other.get_input_embeddings().weight, start)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
