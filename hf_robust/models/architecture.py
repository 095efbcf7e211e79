"""Architecture, size and precision of a published model, without the auxiliary module that trains beside it."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import nn

from hf_robust.models.quantization import BASE_QUANTIZATION, is_quantized

REVERSIBLE = ("reformer",)
"""Architectures whose backward pass runs the layers again, with what they stored in the latest forward pass."""
AUXILIARY_ATTRIBUTE = "robust_aux"
"""Attribute of a model that holds the auxiliary module of a method: a twin, a mask network, increment weights, ..."""


def without_peft(model: nn.Module) -> nn.Module:
    """The model itself, or its base model if PEFT wraps it; the auxiliary module is an attribute of this one."""
    get_base_model = getattr(model, "get_base_model", None)
    return get_base_model() if get_base_model is not None else model


def auxiliary_module(model: nn.Module) -> nn.Module | None:
    """The module that trains beside the model and is not published with it; None if there is none."""
    return getattr(without_peft(model), AUXILIARY_ATTRIBUTE, None)


def parts_of(config: Any) -> dict[str, Any]:
    """The configurations of a model's parts, such as its text model, by name."""
    named = {name: getattr(config, name, None) for name in type(config).sub_configs}
    return {name: part for name, part in named.items() if part is not None}


def vocabulary_size(config: Any) -> int | None:
    """Number of token ids that a model of this configuration reads; None for CANINE, which reads any character."""
    for part in (config, config.get_text_config()):
        if (size := getattr(part, "vocab_size", None)) is not None:
            return int(size)
    return None


def architecture(model: Any) -> dict[str, Any]:
    """Type and size of a published model, JSON-ready.

    ``head`` is present if the classification head is not the architecture's own. ``parameters`` is the number of
    parameters without the auxiliary module; for an adapter it counts those of the base model, and
    ``adapter_parameters`` those in the adapter's file.
    """
    auxiliary = auxiliary_module(model)
    unpublished = set() if auxiliary is None else {id(weights) for weights in auxiliary.parameters()}
    parameters = sum(_count(weights) for weights in model.parameters() if id(weights) not in unpublished)
    kind = getattr(model.config, "model_type", "") or type(model).__name__
    described: dict[str, Any] = {"type": kind}
    if head := getattr(model.config, "classifier_head", None):
        described["head"] = head
    if not hasattr(model, "peft_config"):
        return {**described, "parameters": parameters}
    from peft import get_peft_model_state_dict

    # An auxiliary module that is a second classifier has adapters too.
    published = {
        name: weights
        for name, weights in get_peft_model_state_dict(model).items()
        if AUXILIARY_ATTRIBUTE not in name.split(".")
    }
    adapter = sum(weights.numel() for weights in published.values())
    return {**described, "parameters": parameters - adapter, "adapter_parameters": adapter}


def _count(weights: nn.Parameter) -> int:
    """Number of entries; 4-bit weights are stored two in a byte."""
    state = getattr(weights, "quant_state", None)
    return weights.numel() if state is None else prod(state.shape)


def precision(model: Any) -> dict[str, str]:
    """How a model holds its weights and computes attention, JSON-ready.

    ``dtype`` is the data type of most weights that are not quantized. ``attention`` is the implementation of
    attention, if the model has attention; ``quantization`` is ``4bit`` or ``8bit``, if the base model of an adapter is
    quantized; ``float32_products`` is ``tf32`` where a GPU rounds the factors of float32 products to 10 bits.
    """
    config: Any = without_peft(model).config
    dtypes = [weight.dtype for weight in model.parameters() if not is_quantized(weight)]
    known = {"dtype": str(max(set(dtypes), key=dtypes.count)).removeprefix("torch.")}
    if getattr(config.get_text_config(), "num_attention_heads", None):
        known["attention"] = str(config._attn_implementation)
    if known["dtype"] == "float32" and next(model.parameters()).is_cuda and float32_products_are_rounded():
        known["float32_products"] = "tf32"
    if settings := getattr(config, BASE_QUANTIZATION, None):
        known["quantization"] = "4bit" if settings.get("load_in_4bit") else "8bit"
    return known


def float32_products_are_rounded() -> bool:
    """Whether a GPU may use TF32, which ``--tf32`` turns on. Torch has two settings that must not be mixed."""
    products = torch.backends.cuda.matmul
    if hasattr(products, "fp32_precision"):  # torch 2.9 and newer
        return bool(products.fp32_precision == "tf32")
    return bool(products.allow_tf32)
