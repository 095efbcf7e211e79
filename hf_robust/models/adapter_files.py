"""The folder of an adapter: the files that we add to PEFT's two, and the files that must not be there."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

from torch import nn
from transformers.utils import find_adapter_config_file

from hf_robust.models.quantization import BASE_QUANTIZATION
from hf_robust.models.weights import new_weights

CONFIG_FOLDER = "classifier"
"""Subfolder of an adapter with the configuration of the classifier (labels, padding), which plain PEFT leaves out."""
BASE_WEIGHTS = "base_weights"
"""Entry of that configuration with the hash of the weights that the adapter was trained on."""
ADAPTER = "adapter_config.json"
WHOLE_MODEL = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def describe_adapter(name: str, **options: Any) -> dict[str, Any] | None:
    """The PEFT configuration in a folder or Hub repository; None if there is no adapter.

    Raises:
        ValueError: the folder holds an adapter and a whole model, or the configuration cannot be read.
    """
    try:
        path = find_adapter_config_file(name, **options)
    except OSError:  # there is no such model; loading it gives a better error message
        path = None
    if path is None:
        return None
    whole = [file for file in WHOLE_MODEL if Path(name, file).is_file()]
    if whole:
        raise ValueError(
            f"{name} holds an adapter ({ADAPTER}) and a whole model ({whole[0]}), written by two runs, and "
            "transformers would put the adapter on that model; delete the files of the one that you do not need."
        )
    try:
        config: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{name}/{ADAPTER} is not JSON ({error}); save the adapter again.") from error
    return config


def write_config(model: Any, folder: str | Path, base_weights: str | None = None) -> None:
    """Write the classifier's configuration into an adapter's folder.

    Args:
        base_weights: :func:`loaded_hash` of the model before training, if its configuration does not hold it yet.
    """
    config = copy.deepcopy(model.config)
    config.architectures = [type(model.get_base_model() if hasattr(model, "peft_config") else model).__name__]
    if base_weights is not None:
        setattr(config, BASE_WEIGHTS, base_weights)
    if hasattr(config, BASE_QUANTIZATION):
        del config.quantization_config
    config.save_pretrained(Path(folder) / CONFIG_FOLDER)
    for code in Path(folder, CONFIG_FOLDER).glob(
        "*.py"
    ):  # custom code of a model, which loaders seek in the top folder
        os.replace(code, Path(folder) / code.name)


def save_config(model: Any, folder: Path, args: Any) -> None:
    """Write the classifier's configuration to the folders where the Trainer saves ``model``, if it is an adapter."""
    if not hasattr(model, "peft_config"):
        return
    write_config(model, folder)
    if args.push_to_hub:  # the Trainer copies only the adapter of a checkpoint to output_dir
        write_config(model, args.output_dir)


def base_name(model: Any) -> str | None:
    """The origin of a model's weights: the full path of a folder, or a Hub id; None for a new model."""
    name = str(getattr(model, "name_or_path", "") or "")
    return os.path.abspath(name) if os.path.isdir(name) else name or None


def check_saves(model: Any, folder: str, published: bool) -> None:
    """Refuse a model that could not be loaded again after it is saved.

    Raises:
        ValueError: the adapter is transformers' own, which the Trainer does not restore; the adapter leaves out
            weights that no checkpoint holds; it is to be published but its base model is a local folder; or the folder
            holds files of the other kind (of a whole model or of an adapter) from an earlier run.
    """
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ValueError(
            "the model's adapter was added by model.add_adapter or from_pretrained, and the Trainer cannot restore it "
            "from a checkpoint; make it by peft.get_peft_model, or load it by PeftModel.from_pretrained(..., "
            "is_trainable=True)."
        )
    adapts = hasattr(model, "peft_config")
    others = [file for file in (WHOLE_MODEL if adapts else [ADAPTER]) if Path(folder, file).is_file()]
    if others:
        kinds = ("a whole model", "an adapter") if adapts else ("an adapter", "a whole model")
        raise ValueError(
            f"--output_dir {folder} holds {kinds[0]} ({others[0]}), and this run would add {kinds[1]}, which "
            "transformers would combine with it; give another folder, or delete these files."
        )
    if adapts and published and os.path.isdir(model.get_base_model().name_or_path):
        raise ValueError(
            f"--push_to_hub would publish an adapter whose base model is in {model.get_base_model().name_or_path}, a "
            "local folder; publish that model first and start from its Hub id, or leave --push_to_hub out."
        )
    missing = unsaved_weights(model) if adapts else []
    if missing:
        raise ValueError(
            f"{', '.join(missing[:3])} are in no checkpoint, and the adapter neither trains nor saves them, so that "
            "each load would draw new random values; name their modules in LoraConfig(modules_to_save=[...])."
        )


def unsaved_weights(model: nn.Module) -> list[str]:
    """Names of new weights of a PEFT model that its adapter neither trains nor saves: no reload restores them.

    Empty for a base model made from a configuration, which cannot be loaded again anyway.
    """
    from peft import get_peft_model_state_dict

    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    new = frozen.intersection(new_weights(model))
    saved = {plain_name(name) for name in get_peft_model_state_dict(model)}
    return [] if new == frozen else sorted({plain_name(name) for name in new} - saved)


def plain_name(name: str) -> str:
    """A parameter's name as it is in the model without PEFT."""
    for part in ("base_model.model.", "original_module.", "modules_to_save.default.", "base_layer.", ".default"):
        name = name.replace(part, "")
    return name
