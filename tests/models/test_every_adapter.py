"""An adapter on every architecture, trained from a checkpoint without a head, reloads with equal logits."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from headless import LABELS, adapted, logits, save_headless, train
from transformers import AutoConfig, AutoModelForSequenceClassification, set_seed

from benchmarks.architectures.configs import KINDS, NOT_MADE, tiny_config
from hf_robust.models.adapter_files import unsaved_weights, write_config
from hf_robust.models.lora import target_layers, whole_modules
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


def test_adapters_go_where_peft_puts_them() -> None:
    defaults = peft.utils.constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    compared = 0
    for kind in (kind for kind in KINDS if kind in defaults):
        with torch.device("meta"):
            model = AutoModelForSequenceClassification.from_config(tiny_config(kind))
        wanted = {name for name, _ in model.named_modules() if name.rsplit(".", 1)[-1] in defaults[kind]}
        assert set(target_layers(model, None, whole_modules(model), flag="")) == wanted, kind
        compared += 1
    assert compared > 20
