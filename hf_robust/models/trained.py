"""Loading of fine-tuned classifiers: whole models, and adapters together with their base model."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import cached_file

from hf_robust.models.adapter_files import ADAPTER, BASE_WEIGHTS, CONFIG_FOLDER, describe_adapter, plain_name
from hf_robust.models.files import loading
from hf_robust.models.padding import set_padding_token, write_padding
from hf_robust.models.quantization import check_quantization, prepare_quantized, stored_settings
from hf_robust.models.weights import loaded_hash, new_weights

logger = logging.getLogger(__name__)


def load_trained(name: str, *, merged: bool = False) -> Any:
    """The classifier in a folder or Hub repository, with no weight left random; an adapter on its base model.

    Args:
        merged: add an adapter to the weights of its base model, so that the result is a plain model.

    Raises:
        ValueError: there is no classifier, its head was not trained, the base model of an adapter is gone, or an
            adapter cannot be merged.
    """
    described = describe_adapter(name)
    if described is not None:
        adapted = load_adapter(name, described)
        if not merged:
            return adapted.get_base_model()
        if stored_settings(adapted.config) is not None:
            raise ValueError(
                f"{name} is an adapter of a quantized model, whose weights cannot take it up without rounding."
            )
        return adapted.merge_and_unload()
    with loading(name, name, "give a folder or a Hub id of a checkpoint"):
        model = AutoModelForSequenceClassification.from_pretrained(name)
    missing = sorted(new_weights(model))
    if missing:
        raise ValueError(
            f"{name} has no trained classification head (missing: {', '.join(missing[:3])}); give a fine-tuned model."
        )
    return model


def with_tokenizer(model: Any, name: str, device: str | None) -> tuple[Any, Any]:
    """Move a model to its device, a GPU if there is one, and load the tokenizer in its folder.

    Raises:
        ValueError: there is no tokenizer, or it has neither a padding nor an end-of-text token.
    """
    with loading(f"the tokenizer of {name}", name, "save the tokenizer of its training in the folder of the model"):
        tokenizer = AutoTokenizer.from_pretrained(name)
    set_padding_token(tokenizer, name)
    write_padding(model, tokenizer)
    if not getattr(model, "is_quantized", False):
        model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    elif device is not None and torch.device(device).type != model.device.type:
        logger.warning(f"{name} is quantized on {model.device} and cannot be moved to {device}.")
    return model, tokenizer


def adapter_config(name: str, described: Mapping[str, Any], **source: Any) -> Any:
    """The configuration of an adapter's classifier: its own if it is in the folder, else that of the base model.

    Args:
        name: a folder or Hub repository.
        described: the adapter's PEFT configuration (:func:`describe_adapter`).
        source: ``revision``, ``token`` and ``cache_dir`` of the adapter.

    Raises:
        ValueError: the configuration cannot be read, or the base model is gone.
    """
    if cached_file(name, f"{CONFIG_FOLDER}/config.json", _raise_exceptions_for_missing_entries=False, **source):
        with loading(f"{name}/{CONFIG_FOLDER}/config.json", f"{name}/{CONFIG_FOLDER}", "save the adapter again"):
            return AutoConfig.from_pretrained(name, subfolder=CONFIG_FOLDER, **source)
    base, moved = _base_of(name, described)
    with loading(f"the model {base}, on which the adapter {name} was trained,", base, moved):
        return AutoConfig.from_pretrained(base, **_of_base(described, source))


def load_adapter(name: str, described: Mapping[str, Any], *, attention: str | None = None, **source: Any) -> Any:
    """The PEFT model of an adapter on its base model, which has the data type and quantization of the training.

    Args:
        attention: implementation of attention; None for the default of transformers.
        name, described, source: as in :func:`adapter_config`.

    Raises:
        ValueError: a package is missing, the base model is gone or another one, or weights are missing.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f'{name} is an adapter, and loading one needs peft: pip install "hf_robust[peft]" or pip install peft.'
        ) from error
    base, moved = _base_of(name, described)
    config = adapter_config(name, described, **source)
    settings = stored_settings(config)
    if settings is not None:
        check_quantization(f"{name} is an adapter of a quantized model, and loading it")
    with loading(f"the model {base}, on which the adapter {name} was trained,", base, moved):
        model = AutoModelForSequenceClassification.from_pretrained(
            base,
            config=config,
            ignore_mismatched_sizes=True,
            quantization_config=settings,
            attn_implementation=attention,
            **_of_base(described, source),
        )
    if settings is not None:
        model = prepare_quantized(model, settings)
    _check_base(model, base, name)
    return _with_adapter(model, base, name, source)


def _base_of(name: str, described: Mapping[str, Any]) -> tuple[str, str]:
    """The base model of an adapter, and what to do if it is not there."""
    base = described.get("base_model_name_or_path")
    if not base:
        raise ValueError(
            f"the adapter {name} names no base model, so that it was trained on weights that were not saved; train it "
            "again from a checkpoint."
        )
    moved = f"put it back, or write its new path as base_model_name_or_path into {name}/{ADAPTER}"
    if os.path.isabs(base) and not os.path.exists(base):
        raise ValueError(f"the adapter {name} was trained on the model {base}, and there is no such folder; {moved}.")
    return base, moved


def _of_base(described: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` for the base model of an adapter from ``source``."""
    return {**source, "revision": described.get("revision") or "main"}


def _with_adapter(model: Any, base: str, name: str, source: Mapping[str, Any]) -> Any:
    """The base model with the adapter's layers in it."""
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import load_peft_weights

    with loading(f"the adapter {name}", name, "save it again"):
        saved = {plain_name(key) for key in load_peft_weights(name, device="cpu", **source)}
    _check_complete(set(new_weights(model)), saved, base, name)
    try:
        # The adapter loading of transformers itself rounds adapters to the precision of the base model.
        adapted = PeftModel.from_pretrained(model, name, **source)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()[:60])
        raise ValueError(
            f"the adapter {name} does not fit the model {base} ({reason}); give the model that it was trained on, and "
            f"in {name}/{CONFIG_FOLDER} the configuration of the classifier (config.save_pretrained), with its labels."
        ) from error
    wanted = {plain_name(key) for key in get_peft_model_state_dict(adapted, save_embedding_layers=False)}
    _check_complete(wanted, saved, base, name)
    unknown = sorted(saved - {plain_name(key) for key in adapted.state_dict()})
    if unknown:
        raise ValueError(
            f"the adapter {name} has weights that the model {base} has not ({', '.join(unknown[:3])}); give the model "
            "that it was trained on."
        )
    return adapted


def _check_complete(wanted: set[str], saved: set[str], base: str, name: str) -> None:
    missing = sorted(wanted - saved)
    if missing:
        raise ValueError(
            f"the adapter {name} and its base model {base} both lack weights (missing: {', '.join(missing[:3])}), "
            "which would be random; train it again with these in its modules_to_save."
        )


def _check_base(model: Any, base: str, name: str) -> None:
    trained_on = getattr(model.config, BASE_WEIGHTS, None)
    if trained_on is not None and trained_on != loaded_hash(model):
        raise ValueError(
            f"the model {base} has changed since the adapter {name} was trained on it, so that the two would predict "
            f"differently from the evaluated model; put the old weights back (or delete {BASE_WEIGHTS} in "
            f"{name}/{CONFIG_FOLDER}/config.json to load it anyway)."
        )
