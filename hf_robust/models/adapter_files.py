"""The folder of an adapter: what is in it beside PEFT's two files, and what must not be."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

from torch import nn
from transformers.utils import find_adapter_config_file

from hf_robust.models.weights import new_weights

CONFIG_FOLDER = "classifier"
"""Where an adapter's folder has the configuration of the classifier, which plain PEFT leaves out: labels, padding."""
BASE_WEIGHTS = "base_weights"
"""The entry of that configuration that tells the weights that the adapter was trained on from any other."""
ADAPTER = "adapter_config.json"
WHOLE_MODEL = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def describe_adapter(name: str, **options: Any) -> dict[str, Any] | None:
    """The PEFT configuration of a folder or Hub repository; None where it holds no adapter.

    Raises:
        ValueError: a folder holds an adapter and a whole model, or the configuration cannot be read.
    """
    try:
        path = find_adapter_config_file(name, **options)
    except OSError:  # there is nothing at all, which loading has a better sentence for
        path = None
    if path is None:
        return None
    whole = [file for file in WHOLE_MODEL if Path(name, file).is_file()]
    if whole:
        raise ValueError(
            f"{name} holds an adapter ({ADAPTER}) and a whole model ({whole[0]}), written by two runs, and "
            "transformers lays the one over the other; delete the files of the one that is not meant."
        )
    try:
        found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{name}/{ADAPTER} is not JSON ({error}); save the adapter again.") from error
    return found


def write_config(model: Any, folder: str | Path, base_weights: str | None = None) -> None:
    """Write the classifier's configuration into an adapter's folder.

    Args:
        base_weights: :func:`loaded_hash` of the model before it was trained, if its configuration does not hold it.
    """
    config = copy.deepcopy(model.config)
    config.architectures = [type(model.get_base_model() if hasattr(model, "peft_config") else model).__name__]
    if base_weights is not None:
        setattr(config, BASE_WEIGHTS, base_weights)
    config.save_pretrained(Path(folder) / CONFIG_FOLDER)
    for code in Path(folder, CONFIG_FOLDER).glob("*.py"):  # of a model with code of its own, looked for at the top
        os.replace(code, Path(folder) / code.name)


def save_config(model: Any, folder: Path, args: Any) -> None:
    """Write it where a Trainer with these arguments saves the model, if that is an adapter."""
    if not hasattr(model, "peft_config"):
        return
    write_config(model, folder)
    if args.push_to_hub:  # of a checkpoint the Trainer copies only the adapter there
        write_config(model, args.output_dir)


def base_name(model: Any) -> str | None:
    """Where the weights of a model come from: a folder by its full path, or a Hub id; None if from nowhere."""
    name = str(getattr(model, "name_or_path", "") or "")
    return os.path.abspath(name) if os.path.isdir(name) else name or None


def check_saves(model: Any, folder: str, published: bool) -> None:
    """Refuse what could not be loaded as it will be saved.

    Raises:
        ValueError: the adapter is transformers' own, which the Trainer does not restore; it leaves out a part that no
            checkpoint holds either, or belongs to a model that others do not have and is to be published; or the
            folder has files of the other kind, of a whole model or of an adapter, from an earlier run.
    """
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ValueError(
            "the model's adapter was added by model.add_adapter or from_pretrained, and no checkpoint brings it back; "
            "make it by peft.get_peft_model, or load it by PeftModel.from_pretrained(..., is_trainable=True)."
        )
    adapts = hasattr(model, "peft_config")
    others = [file for file in (WHOLE_MODEL if adapts else [ADAPTER]) if Path(folder, file).is_file()]
    if others:
        kinds = ("a whole model", "an adapter") if adapts else ("an adapter", "a whole model")
        raise ValueError(
            f"--output_dir {folder} holds {kinds[0]} ({others[0]}), and beside {kinds[1]} transformers would lay the "
            "one over the other; give another folder, or delete what is there."
        )
    if adapts and published and os.path.isdir(model.get_base_model().name_or_path):
        raise ValueError(
            f"--push_to_hub would publish an adapter of the model in {model.get_base_model().name_or_path}, a folder "
            "that others do not have; publish that model first and start from its Hub id, or leave --push_to_hub out."
        )
    missing = unsaved_weights(model) if adapts else []
    if missing:
        raise ValueError(
            f"{', '.join(missing[:3])} are in no checkpoint, and the adapter neither trains nor saves them, so each "
            "load would draw them anew; name their modules in LoraConfig(modules_to_save=[...])."
        )


def unsaved_weights(model: nn.Module) -> list[str]:
    """New weights of a PEFT model that its adapter neither trains nor saves, so that no reload has them again.

    None of a base model made from a configuration, which cannot be loaded again anyway.
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
