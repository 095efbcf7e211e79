"""One padding token for tokenizer and model: however the two are brought together, batches of texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import build_architecture
from tiny import build_tokenizer, build_trainer, review_data, synonym_attack
from transformers import AutoModelForSequenceClassification

from hf_robust.attacks import Victim
from hf_robust.interpret import predicted_labels
from hf_robust.models.padding import set_padding_token, write_padding
from hf_robust.training.plain_victim import load_plain_victim
from hf_robust.wiring.checkpoint_attack import load_classifier

TEXTS = [("a good film.",), ("the music was bad and the plot very cold.",)]


def unpadded(kind: str) -> Any:
    """A decoder whose configuration names no padding token; two classes."""
    config = build_architecture(kind).config
    config.pad_token_id, config.num_labels = None, 2
    return AutoModelForSequenceClassification.from_config(config).eval()


def one_by_one(model: Any) -> torch.Tensor:
    tokenizer = build_tokenizer()
    with torch.no_grad():
        return torch.cat([model(**tokenizer(*text, return_tensors="pt")).logits for text in TEXTS])


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2"])
def test_a_victim_scores_a_batch_as_each_text_alone(kind: str) -> None:
    model = unpadded(kind)
    expected = one_by_one(model)
    victim = Victim(model, build_tokenizer())
    assert model.config.pad_token_id == 0
    assert torch.allclose(torch.tensor(victim.score(TEXTS).logits), expected, atol=1e-5)
    labels = predicted_labels(unpadded(kind), build_tokenizer(), TEXTS)
    assert len(labels) == 2


def test_another_padding_id_in_the_configuration_is_replaced() -> None:
    model = unpadded("llama")
    expected = one_by_one(model)
    model.config.pad_token_id = 7
    assert torch.allclose(torch.tensor(Victim(model, build_tokenizer()).score(TEXTS).logits), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["taichi", "normal"])
def test_a_trainer_evaluates_alone_and_its_twin_reads_batches(method: str, tmp_path: Path) -> None:
    evaluated = build_trainer(method, tmp_path, model=unpadded("llama"), eval_data=review_data(8))
    assert 0.0 < evaluated.evaluate()["eval_loss"] < 10.0
    trainer = build_trainer(method, tmp_path, model=unpadded("llama"), attacks={"synonym": synonym_attack()})
    trainer.train()
    if method == "taichi":
        assert trainer.twin.config.pad_token_id == 0


def test_a_saved_decoder_is_loaded_with_the_padding_id(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    tokenizer.pad_token, tokenizer.eos_token = None, "[SEP]"
    unpadded("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, tokenizer = load_classifier(str(tmp_path), "cpu")
    assert tokenizer.pad_token == "[SEP]" and model.config.pad_token_id == tokenizer.pad_token_id == 3
    Victim(model, tokenizer).score(TEXTS)


def test_a_plain_victim_reads_batches_too(tmp_path: Path) -> None:
    folder = tmp_path / "victim"
    unpadded("llama").save_pretrained(folder)
    trainer = build_trainer("ada", tmp_path, model=unpadded("llama"))
    victim = load_plain_victim(trainer, str(folder))
    assert victim.config.pad_token_id == 0


def test_a_tokenizer_without_any_token_to_pad_with_is_refused_and_no_configuration_is_left_as_it_is() -> None:
    tokenizer = build_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token = None
    with pytest.raises(ValueError, match="the tokenizer of NAME has no padding token: add one"):
        set_padding_token(tokenizer, "NAME")
    model = unpadded("llama")
    write_padding(model, tokenizer)
    write_padding(torch.nn.Linear(1, 1), build_tokenizer())
    assert model.config.pad_token_id is None
