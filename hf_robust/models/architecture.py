"""Architecture and size of a published model, without the auxiliary module that trains beside it."""

from __future__ import annotations

from typing import Any

from torch import nn

AUXILIARY_ATTRIBUTE = "robust_aux"
"""Attribute of a model that holds the auxiliary module of a method: a twin, a mask network, increment weights, ..."""


def without_peft(model: nn.Module) -> nn.Module:
    """The model itself, or its base model if PEFT wraps it; the auxiliary module is an attribute of this one."""
    get_base_model = getattr(model, "get_base_model", None)
    return get_base_model() if get_base_model is not None else model


def auxiliary_module(model: nn.Module) -> nn.Module | None:
    """The module that trains beside the model and is not published with it; None if there is none."""
    return getattr(without_peft(model), AUXILIARY_ATTRIBUTE, None)


def architecture(model: Any) -> dict[str, Any]:
    """Type and size of a published model, JSON-ready.

    ``head`` is present if the classification head is not the architecture's own. ``parameters`` is the number of
    parameters without the auxiliary module; for an adapter it counts those of the base model, and
    ``adapter_parameters`` those in the adapter's file.
    """
    auxiliary = auxiliary_module(model)
    unpublished = set() if auxiliary is None else {id(weights) for weights in auxiliary.parameters()}
    parameters = sum(weights.numel() for weights in model.parameters() if id(weights) not in unpublished)
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
