"""The content of an adapter's folder, and refusal of adapters that would load differently from the evaluated model."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from headless import LABELS, adapted, logits, save_headless, train
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, set_seed

from benchmarks.architectures.configs import tiny_config
from hf_robust.data.arguments import ModelArguments
from hf_robust.models.adapter_files import ADAPTER, base_name, describe_adapter, write_config
from hf_robust.models.trained import load_trained
from hf_robust.models.weights import new_weights

peft = pytest.importorskip("peft")
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A BERT without pooler and head, and an adapter trained on it."""
    base, folder = tmp_path / "base", tmp_path / "adapter"
    save_headless("bert", base)
    save(adapted(base), folder)
    return base, folder


def save(model: Any, folder: Path) -> torch.Tensor:
    train(model)
    model.save_pretrained(folder)
    write_config(model, folder)
    return logits(model)


def refused(folder: Path) -> str:
    with pytest.raises(ValueError) as caught:
        load_trained(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "gpt2", "t5", "xlnet"])
def test_new_weights_are_those_that_transformers_calls_missing(kind: str, tmp_path: Path) -> None:
    save_headless(kind, tmp_path)
    model, loading = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert set(new_weights(model)) == set(loading["missing_keys"]) != set()
    model.save_pretrained(tmp_path)
    assert new_weights(AutoModelForSequenceClassification.from_pretrained(tmp_path)) == []
    other = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True)
    assert new_weights(other) and all(other.get_parameter(name).shape[0] == 5 for name in new_weights(other))


def test_a_model_of_a_configuration_is_all_new() -> None:
    model = AutoModelForSequenceClassification.from_config(tiny_config("bert"))
    assert len(new_weights(model)) == len(list(model.parameters()))


def test_a_part_that_nobody_saved_is_named(folders: tuple[Path, Path]) -> None:
    _, folder = folders
    weights = safetensors.torch.load_file(folder / WEIGHTS)
    kept = {name: value for name, value in weights.items() if "pooler" not in name}
    safetensors.torch.save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})
    assert "missing: bert.pooler.dense.bias, bert.pooler.dense.weight)" in refused(folder)
    # an adapter whose configuration does not mention the pooler
    edit(folder / ADAPTER, modules_to_save=["classifier"])
    assert "missing: bert.pooler.dense.bias, bert.pooler.dense.weight)" in refused(folder)


def test_an_adapter_of_a_larger_model_does_not_load_in_part(folders: tuple[Path, Path]) -> None:
    base, folder = folders
    shutil.rmtree(folder / "classifier")
    config = tiny_config("bert")
    config.num_hidden_layers, config.num_labels = 1, 3
    AutoModelForMaskedLM.from_config(config).save_pretrained(base)
    assert "has not (bert.encoder.layer.1.attention.output.dense.lora_A.weight" in refused(folder)


def test_a_base_that_changed_moved_or_never_was(folders: tuple[Path, Path]) -> None:
    base, folder = folders
    set_seed(5)
    AutoModelForMaskedLM.from_config(tiny_config("bert")).save_pretrained(base)
    assert f"the model {base} has changed since the adapter {folder} was trained on it" in refused(folder)
    config = folder / "classifier" / "config.json"
    kept = json.loads(config.read_text())
    del kept["base_weights"]
    config.write_text(json.dumps(kept))
    load_trained(str(folder))
    base.rename(base.with_name("elsewhere"))
    assert "there is no such folder; put it back, or write its new path" in refused(folder)
    edit(folder / ADAPTER, base_model_name_or_path=str(base.with_name("elsewhere")))
    load_trained(str(folder))
    edit(folder / ADAPTER, base_model_name_or_path=None)
    assert "names no base model" in refused(folder)


def test_a_base_is_named_by_its_full_path(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = save(adapted(Path("base")), tmp_path / "other")
    monkeypatch.chdir("/")
    assert torch.equal(logits(load_trained(str(tmp_path / "other"))), wanted)
    assert base_name(AutoModelForSequenceClassification.from_config(tiny_config("bert"))) is None


def test_the_number_of_classes_and_their_names_are_the_adapters(tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "adapter"
    config = tiny_config("bert")
    config.id2label, config.label2id = {0: "ham", 1: "spam"}, {"ham": 0, "spam": 1}
    AutoModelForSequenceClassification.from_config(config).save_pretrained(base)
    wanted = save(adapted(base, ignore_mismatched_sizes=True), folder)
    model = load_trained(str(folder))
    assert torch.equal(logits(model), wanted) and wanted.shape == (3, 3)
    assert model.config.id2label == dict(enumerate(LABELS)) and model.config.label2id["yes"] == 2
    shutil.rmtree(folder / "classifier")
    assert "does not fit the model" in refused(folder) and "classifier the configuration" in refused(folder)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_adapters_of_half_precision_are_not_rounded(dtype: torch.dtype, tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "adapter"
    set_seed(0)
    AutoModelForMaskedLM.from_config(tiny_config("bert")).to(dtype).save_pretrained(base)
    model = adapted(base)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.3 * value.requires_grad)
    model.save_pretrained(folder)
    write_config(model, folder)
    again = load_trained(str(folder))
    assert torch.equal(logits(again), logits(model))
    assert {value.dtype for value in again.parameters()} == {dtype, torch.float32}


def test_a_folder_of_two_runs_is_refused(folders: tuple[Path, Path]) -> None:
    base, folder = folders
    for file in base.iterdir():
        shutil.copy(file, folder)
    assert "holds an adapter (adapter_config.json) and a whole model (model.safetensors)" in refused(folder)


def test_an_adapter_without_peft_is_one_sentence(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    assert "is an adapter, and loading one needs peft: pip install" in refused(folders[1])


@pytest.mark.parametrize("file", [ADAPTER, WEIGHTS, "classifier/config.json", "base/model.safetensors"])
def test_a_broken_file_is_named(file: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, folder = folders
    path = tmp_path / file if file.startswith("base") else folder / file
    path.write_bytes(path.read_bytes()[:20])
    assert str(base if file.startswith("base") else path if file != WEIGHTS else folder) in refused(folder)


def test_there_is_no_adapter_where_there_is_nothing(tmp_path: Path) -> None:
    assert describe_adapter(str(tmp_path / "nothing")) is None
    assert "cannot be loaded" in refused(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        # For example a layer without a bias in the checkpoint: it is trained and saved as a whole.
        (lambda weights: weights.pop("bert.encoder.layer.0.output.dense.bias"), "bert.encoder.layer.0.output.dense"),
        (lambda weights: weights.pop("bert.encoder.layer.1.attention.self.query.weight"), "bert.encoder.layer.1"),
    ],
)
def test_a_hole_in_the_middle_of_a_checkpoint_is_filled(
    change: Callable[[dict[str, Any]], Any], whole: str, tmp_path: Path
) -> None:
    base, folder = tmp_path / "base", tmp_path / "adapter"
    save_headless("bert", base)
    weights = safetensors.torch.load_file(base / "model.safetensors")
    change(weights)
    safetensors.torch.save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    model = adapted(base)
    assert any(name.startswith(whole) for name in model.peft_config["default"].modules_to_save)
    wanted = save(model, folder)
    set_seed(3)
    assert torch.equal(logits(load_trained(str(folder))), wanted)


def test_a_parameter_that_stands_alone_is_one_sentence(tmp_path: Path) -> None:
    save_headless("xlnet", tmp_path)
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    del weights["mask_emb"]
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"transformer\.mask_emb is in no checkpoint, and its module also has trained weights"
    ):
        adapted(tmp_path)
    AutoModelForSequenceClassification.from_pretrained(tmp_path).save_pretrained(tmp_path / "once")
    adapted(tmp_path / "once", ignore_mismatched_sizes=True)


def test_arguments_of_a_hub_reach_the_adapter(folders: tuple[Path, Path]) -> None:
    model = adapted(folders[0], model_revision="v2")
    assert model.peft_config["default"].revision == "v2"
    assert ModelArguments(model_name_or_path="x").model_revision == "main"


CODE = """
from transformers import BertConfig, BertForSequenceClassification


class OwnConfig(BertConfig):
    model_type = "own"


class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig
"""


def test_a_model_with_code_of_its_own_loads_by_the_lines_of_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    base, folder = tmp_path / "base", tmp_path / "adapter"
    save_headless("bert", base)
    (base / "modeling_own.py").write_text(CODE)
    names = {"AutoConfig": "OwnConfig", "AutoModelForSequenceClassification": "OwnModel"}
    edit(base / "config.json", model_type="own", auto_map={key: f"modeling_own.{one}" for key, one in names.items()})
    wanted = save(adapted(base, trust_remote_code=True), folder)
    config = AutoConfig.from_pretrained(folder, subfolder="classifier", trust_remote_code=True)
    again = AutoModelForSequenceClassification.from_pretrained(base, config=config, trust_remote_code=True)
    assert type(again).__name__ == "OwnModel"
    assert torch.equal(logits(peft.PeftModel.from_pretrained(again, folder)), wanted)


def test_resized_word_embeddings_come_back(tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "adapter"
    save_headless("bert", base)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    model.resize_token_embeddings(70)
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, modules_to_save=["pooler"])
    wanted = save(peft.get_peft_model(model, config), folder)
    again = load_trained(str(folder))
    assert torch.equal(logits(again), wanted) and len(again.get_input_embeddings().weight) == 70
