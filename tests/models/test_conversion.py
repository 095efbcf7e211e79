"""Saved weights load completely under all saved names, as ``from_pretrained`` loads them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, build_architecture
from safetensors.torch import load_file, save_file
from tiny import build_legacy_model, build_model
from transformers import AutoConfig, AutoModelForSequenceClassification, set_seed

from hf_robust.models.conversion import load_weights
from hf_robust.models.files import read_weights, weight_files

SIZES = {
    "vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 32, "num_labels": 2, "pad_token_id": 0,
}  # fmt: skip
# Models whose saved names differ from their own, or whose tensors are saved in several parts.
RENAMED = {
    "mixtral": {"num_local_experts": 3},
    "qwen2_moe": {"num_experts": 3, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8},
    "nomic_bert": {},
    "jina_embeddings_v3": {},
}


def build(kind: str) -> Any:
    if kind in ARCHITECTURES:
        return build_architecture(kind)
    set_seed(0)
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **SIZES, **RENAMED[kind]))


def changed(model: Any) -> Any:
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    return other


def assert_same(first: Any, second: Any) -> None:
    expected, found = first.state_dict(), second.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


@pytest.mark.parametrize("size", ["50GB", "8KB"], ids=["one file", "shards"])
@pytest.mark.parametrize("kind", [*ARCHITECTURES, *RENAMED])
def test_every_tensor_of_a_saved_model_comes_back(kind: str, size: str, tmp_path: Path) -> None:
    model = build(kind)
    other = changed(model)
    own = {name: parameter.data_ptr() for name, parameter in other.named_parameters()}
    model.save_pretrained(tmp_path, max_shard_size=size)
    load_weights(other, read_weights(weight_files(tmp_path, "")), "here", "mend it")
    assert_same(model, other)
    assert own == {name: parameter.data_ptr() for name, parameter in other.named_parameters()}


@pytest.mark.parametrize("kind", RENAMED)
def test_the_names_of_these_models_are_others_when_saved(kind: str, tmp_path: Path) -> None:
    model = build(kind)
    model.save_pretrained(tmp_path)
    assert not model.state_dict().keys() <= read_weights(weight_files(tmp_path, "")).keys()


def test_legacy_names_come_back_and_are_loaded_elsewhere(tmp_path: Path) -> None:
    model = build_legacy_model(tmp_path / "from")
    model.save_pretrained(tmp_path / "to")
    saved = load_file(tmp_path / "to" / "model.safetensors")
    assert sum(name.endswith("LayerNorm.gamma") for name in saved) == 5
    other = changed(model)
    load_weights(other, saved, "here", "mend it")
    assert_same(model, other)
    loaded, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "to", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert_same(model, loaded)


def test_a_head_of_the_users_own_comes_back(tmp_path: Path) -> None:
    model = build_legacy_model(tmp_path)
    model.classifier = torch.nn.Sequential(torch.nn.Linear(16, 4), torch.nn.Linear(4, 2))
    other = changed(model)
    load_weights(other, model.state_dict(), "here", "mend it")
    assert_same(model, other)


def test_what_is_not_exactly_the_models_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    model = build_model()
    whole = model.state_dict()
    for saved, sentence in (
        ({**whole, "classifier.bias": None}, r"^here lacks tensors of this BertFor.* \(classifier\.bias\)"),
        ({}, r"lacks tensors .* \(.*, .*, .* and \d+ more\)"),
        ({**whole, "bert.more": torch.ones(1)}, r"has tensors that are not in this .* \(bert\.more\)"),
        ({**whole, "classifier.bias": torch.ones(3)}, r"tensors of other shapes than this .* \(classifier\.bias\)"),
    ):
        other = changed(model)
        before = copy.deepcopy(other)
        given = {name: value for name, value in saved.items() if value is not None}
        with pytest.raises(ValueError, match=sentence + r".*, so it is not of this model; mend it\.$"):
            load_weights(other, given, "here", "mend it")
        assert_same(before, other)


def test_a_buffer_that_was_saved_once_is_no_stranger(tmp_path: Path) -> None:
    model = build_model()
    load_weights(model, {**model.state_dict(), "bert.embeddings.position_ids": torch.arange(80)}, "here", "mend it")


def test_a_checkpoint_of_half_the_experts_is_refused(tmp_path: Path) -> None:
    model = build("mixtral")
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({name: value for name, value in load_file(file).items() if ".experts.0." not in name}, file)
    with pytest.raises(ValueError, match=r"here has tensors of other shapes .*experts.*; mend it\."):
        load_weights(changed(model), load_file(file), "here", "mend it")
