"""What a model is and how large, as it is published: without what trains beside it."""

from __future__ import annotations

from typing import Any

from torch import nn

BESIDE = "robust_aux"
"""Where a method keeps what trains beside the classifier: a twin, a mask network, weights of an adversary."""


def owner(model: nn.Module) -> nn.Module:
    """The module that carries the part beside: the model itself, or the base model under PEFT."""
    get_base_model = getattr(model, "get_base_model", None)
    return get_base_model() if get_base_model is not None else model


def part_beside(model: nn.Module) -> nn.Module | None:
    """What trains beside the model and is not published with it; None where nothing does."""
    return getattr(owner(model), BESIDE, None)


def architecture(model: Any) -> dict[str, Any]:
    """Type and size of what is published of a model, which a local folder's name does not say.

    ``head`` is there where it is not that of the architecture's own classifier. ``parameters`` counts the model
    without the part beside it; of an adapter it is the base model's, which the adapter needs, and
    ``adapter_parameters`` are those that the adapter's own file holds.
    """
    beside = part_beside(model)
    left_out = set() if beside is None else {id(weights) for weights in beside.parameters()}
    parameters = sum(weights.numel() for weights in model.parameters() if id(weights) not in left_out)
    kind = getattr(model.config, "model_type", "") or type(model).__name__
    found: dict[str, Any] = {"type": kind}
    if head := getattr(model.config, "classifier_head", None):
        found["head"] = head
    if not hasattr(model, "peft_config"):
        return {**found, "parameters": parameters}
    from peft import get_peft_model_state_dict

    # The part beside has adapters of its own where it is a second classifier.
    own = {
        name: weights for name, weights in get_peft_model_state_dict(model).items() if BESIDE not in name.split(".")
    }
    adapter = sum(weights.numel() for weights in own.values())
    return {**found, "parameters": parameters - adapter, "adapter_parameters": adapter}
