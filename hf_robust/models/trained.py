"""Fine-tuned classifiers as they were saved: whole models, and adapters with the model that they were trained on."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.utils import cached_file, find_adapter_config_file

from hf_robust.models.weights import new_weights, weights_hash

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


def load_trained(name: str) -> Any:
    """The classifier in a folder or Hub repository, every weight of it from there; an adapter on its base model.

    Raises:
        ValueError: there is none, its head was not trained, or what an adapter belongs to is not there any more.
    """
    described = describe_adapter(name)
    if described is not None:
        return _on_its_base(name, described)
    model = _read(name, f"{name} cannot be loaded (%s); give a folder or a Hub id of a checkpoint.")
    missing = sorted(new_weights(model))
    if missing:
        raise ValueError(
            f"{name} has no trained classification head (missing: {', '.join(missing[:3])}); give a fine-tuned model."
        )
    return model


def describe_adapter(name: str, **options: Any) -> dict[str, Any] | None:
    """The PEFT configuration of a folder or Hub repository; None where it holds no adapter.

    Raises:
        ValueError: a folder holds an adapter and a whole model.
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
    found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


def _on_its_base(name: str, described: dict[str, Any]) -> Any:
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f'{name} is an adapter, and loading one needs peft: pip install "hf_robust[peft]" or pip install peft.'
        ) from error
    base = described.get("base_model_name_or_path")
    if not base:
        raise ValueError(
            f"the adapter {name} names no base model, so it was trained on weights that were not saved; train it "
            "again from a checkpoint."
        )
    options: dict[str, Any] = {"revision": described.get("revision") or "main", "ignore_mismatched_sizes": True}
    if cached_file(name, f"{CONFIG_FOLDER}/config.json", _raise_exceptions_for_missing_entries=False):
        options["config"] = AutoConfig.from_pretrained(name, subfolder=CONFIG_FOLDER)
    model = _read(
        base,
        f"the adapter {name} was trained on the model {base}, which cannot be loaded (%s); put it back, or write "
        f"where it is now as base_model_name_or_path into {name}/{ADAPTER}.",
        **options,
    )
    _check_base(model, base, name)
    return _filled(model, base, name)


def _filled(model: Any, base: str, name: str) -> Any:
    """The base model with the adapter's layers in it."""
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import load_peft_weights

    held = {_plain(key) for key in load_peft_weights(name, device="cpu")}
    _check_filled(set(new_weights(model)), held, base, name)
    try:
        # transformers' own way of loading rounds adapters to the base's precision, which is not what was measured.
        adapted = PeftModel.from_pretrained(model, name)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()[:60])
        raise ValueError(
            f"the adapter {name} does not fit the model {base} ({reason}); give the model that it was trained on, and "
            f"in {name}/{CONFIG_FOLDER} the configuration of the classifier (config.save_pretrained), with its labels."
        ) from error
    wanted = {_plain(key) for key in get_peft_model_state_dict(adapted, save_embedding_layers=False)}
    _check_filled(wanted, held, base, name)
    unknown = sorted(held - {_plain(key) for key in adapted.state_dict()})
    if unknown:
        raise ValueError(
            f"the adapter {name} has weights that the model {base} has no place for ({', '.join(unknown[:3])}); give "
            "the model that it was trained on."
        )
    return adapted.get_base_model()


def _check_filled(wanted: set[str], held: set[str], base: str, name: str) -> None:
    missing = sorted(wanted - held)
    if missing:
        raise ValueError(
            f"the adapter {name} does not hold all that its base model {base} lacks (missing: "
            f"{', '.join(missing[:3])}), so a part would be random; train it again with these in its modules_to_save."
        )


def _read(name: str, sentence: str, **options: Any) -> Any:
    try:
        return AutoModelForSequenceClassification.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        gone = os.path.isabs(name) and not os.path.exists(name)
        reason = "there is no such folder" if gone else str(error).strip().split("\n")[0]
        raise ValueError(sentence.replace("%s", reason)) from error


def _check_base(model: Any, base: str, name: str) -> None:
    trained_on = getattr(model.config, BASE_WEIGHTS, None)
    if trained_on is not None and trained_on != loaded_hash(model):
        raise ValueError(
            f"the model {base} has changed since the adapter {name} was trained on it, so the two together were never "
            f"measured; put the old weights back (or delete {BASE_WEIGHTS} in {name}/{CONFIG_FOLDER}/config.json to "
            "load it all the same)."
        )


def loaded_hash(model: nn.Module) -> str:
    """One short name for the weights of a model that its checkpoint holds; new ones are drawn anew by each load."""
    return weights_hash(model, set(new_weights(model)))


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


def base_name(model: Any) -> str | None:
    """Where the weights of a model come from: a folder by its full path, or a Hub id; None if from nowhere."""
    name = str(getattr(model, "name_or_path", "") or "")
    return os.path.abspath(name) if os.path.isdir(name) else name or None


def check_saves(model: Any, folder: str, published: bool) -> None:
    """Refuse what could not be loaded as it will be saved.

    Raises:
        ValueError: the adapter leaves out a part that no checkpoint holds either, or belongs to a model that others do
            not have and is to be published; or the folder has files of the other kind, of a whole model or of an
            adapter, from an earlier run.
    """
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
    saved = {_plain(name) for name in get_peft_model_state_dict(model)}
    return [] if new == frozen else sorted({_plain(name) for name in new} - saved)


def _plain(name: str) -> str:
    """A parameter's name as it is in the model without PEFT."""
    for part in ("base_model.model.", "original_module.", "modules_to_save.default.", "base_layer.", ".default"):
        name = name.replace(part, "")
    return name
