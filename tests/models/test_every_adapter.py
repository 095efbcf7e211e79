"""An adapter on every architecture, trained from a checkpoint without a head, reloads with equal logits."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import torch
from headless import LABELS, adapted, logits, save_headless, train
from transformers import AutoConfig, AutoModelForSequenceClassification, set_seed

from benchmarks.architectures.configs import KINDS, NOT_MADE, full_batch, tiny_config
from hf_robust.models.adapter_files import unsaved_weights, write_config
from hf_robust.models.trained import load_trained

peft = pytest.importorskip("peft")

NOTHING_TO_ADAPT = {"ibert": "has none; name other layers by --lora_target_modules"}
"""Architectures whose layers no adapter goes beside, and the sentence that says so."""


ADAPTED = [kind for kind in KINDS if kind not in {*NOT_MADE, *NOTHING_TO_ADAPT}]


@pytest.mark.slow_but("bert")
@pytest.mark.parametrize("kind", ADAPTED)
def test_every_architecture_reloads_with_equal_logits(kind: str, tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "adapter"
    save_headless(kind, base)
    model = adapted(base)
    assert not unsaved_weights(model)
    before = logits(model)
    train(model)
    trained = logits(model)
    assert (trained - before).abs().max() > 1e-4
    model.save_pretrained(folder)
    write_config(model, folder)

    set_seed(2)  # a reload draws other random weights
    config = AutoConfig.from_pretrained(folder, subfolder="classifier")
    on_base = AutoModelForSequenceClassification.from_pretrained(base, config=copy.deepcopy(config))
    by_us = load_trained(str(folder))
    for again in (
        by_us,
        peft.PeftModel.from_pretrained(on_base, folder),
        AutoModelForSequenceClassification.from_pretrained(folder, config=config),
    ):
        # The memory layout of weights may change the last bit of a sum.
        assert torch.allclose(logits(again), trained, rtol=0, atol=1e-7)
    assert by_us.config.id2label == dict(enumerate(LABELS))


@pytest.mark.parametrize("kind", NOTHING_TO_ADAPT)
def test_an_architecture_without_layers_to_adapt_is_one_sentence(kind: str, tmp_path: Path) -> None:
    save_headless(kind, tmp_path)
    with pytest.raises(ValueError, match=NOTHING_TO_ADAPT[kind]) as caught:
        adapted(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", NOT_MADE)
def test_what_is_left_out_cannot_be_made(kind: str) -> None:
    with pytest.raises(ImportError, match=NOT_MADE[kind].split()[-2]):
        AutoModelForSequenceClassification.from_config(tiny_config(kind))


@pytest.mark.parametrize(
    ("kind", "left_out"),
    [
        ("big_bird", "bert.pooler"),  # which the head does not read
        ("canine", "canine.final_char_encoder.layer.0.output.dense"),  # of characters, after the pooled vector
        ("esm", "esm.contact_head.regression"),
        ("modernvbert", "model.connector.modality_projection"),  # of images
        ("phimoe", "model.layers.0.mlp.router"),  # which returns more than one tensor
    ],
)
def test_layers_that_change_no_prediction_get_no_adapter(kind: str, left_out: str, tmp_path: Path) -> None:
    save_headless(kind, tmp_path)
    model = adapted(tmp_path)
    plain = model.get_base_model()
    assert isinstance(plain.get_submodule(left_out), torch.nn.Linear)
    layers = {name for name, layer in plain.named_modules() if hasattr(layer, "lora_B")}
    assert layers and left_out not in layers
    with pytest.raises(ValueError, match=f"--lora_target_modules {left_out}: an adapter of this .* would change no"):
        adapted(tmp_path, lora_target_modules=[left_out])
    model.train()(**full_batch(), labels=torch.tensor([0, 1, 2])).loss.backward()
    assert all(value.grad is not None for name, value in model.named_parameters() if "lora_B" in name)


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_peft_warns_of_nothing(kind: str, tmp_path: Path) -> None:
    save_headless(kind, tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = adapted(tmp_path)
    assert not [warning for warning in caught if "peft" in warning.filename]
    transposed = [layer.fan_in_fan_out for layer in model.modules() if hasattr(layer, "lora_B")]
    assert transposed and set(transposed) == {kind == "gpt2"}
