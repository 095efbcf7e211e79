"""LoRA on any model: the layers that get adapters, and the modules that are trained and saved as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hf_robust.adversary import evaluating, preserved_random_state
from hf_robust.models.architecture import REVERSIBLE, vocabulary_size
from hf_robust.models.weights import is_new, new_weights

LINEAR = (nn.Linear, Conv1D)
"""Layers that multiply by one matrix; GPT-2's Conv1D stores it transposed."""
ADAPTABLE = (*LINEAR, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)
"""Layers that PEFT can adapt by LoRA."""
ALL_LINEAR = "all-linear"
"""Selects all linear layers of the encoder, as in PEFT: the head trains as a whole."""

ROWS, LENGTH = 3, 16
"""Size of the batch of token ids that shows which layers take part in a pass."""
_CANNOT_WRAP = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def inside(name: str, modules: Iterable[str]) -> bool:
    """Whether a parameter or module is one of ``modules`` or inside one of them."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def whole_modules(model: Any) -> list[str]:
    """Modules that are trained and saved as a whole beside adapters: the head, and modules in no checkpoint.

    The head consists of the modules with weights outside the encoder. For a model made from a configuration, where
    all weights are new, the result is the head alone.

    Raises:
        ValueError: a new parameter is in a module with trained ones, which is too large to be saved as a whole.
    """
    prefix = model.base_model_prefix
    modules = [
        name for name, child in model.named_children() if name != prefix and any(True for _ in child.parameters())
    ]
    encoder = getattr(model, prefix, None)
    if encoder is not None and not is_new(model):
        new = {id(model.get_parameter(name)) for name in new_weights(model)}
        modules += _new_modules(prefix, encoder, new)
    return modules


def _new_modules(name: str, module: nn.Module, new: Collection[int]) -> list[str]:
    """The largest modules in ``module`` whose parameters are all new."""
    parameters = [id(value) for value in module.parameters()]
    if not any(value in new for value in parameters):
        return []
    if all(value in new for value in parameters) and not isinstance(module, _CANNOT_WRAP):
        return [name]
    alone = [part for part, value in module.named_parameters(recurse=False) if id(value) in new]
    children = list(module.named_children())
    if alone and (children or isinstance(module, _CANNOT_WRAP)):
        raise ValueError(
            f"{name}.{alone[0]} is in no checkpoint, and its module also has trained weights, so that an adapter "
            "cannot save it; save the whole model once (save_pretrained) and train adapters from that folder."
        )
    if alone:
        return [name]  # for example a layer whose checkpoint lacks the bias
    return [inner for part, child in children for inner in _new_modules(f"{name}.{part}", child, new)]


def target_layers(
    model: Any,
    requested: Sequence[str],
    whole: Collection[str],
    *,
    flag: str,
    kinds: tuple[type[nn.Module], ...] = ADAPTABLE,
    by_row: bool = False,
) -> list[str]:
    """Full names of the layers that get adapters, of those that take part in the classification of a text.

    Args:
        requested: ends of layer names (``query``, ``layer.1.attention.self.query``), or ``all-linear``.
        whole: modules that are trained as a whole and get no adapters.
        flag: the flag that sets ``requested``, for error messages.
        kinds: types of layers that can be adapted.
        by_row: only layers whose input has the rows of the batch as its first dimension.

    Raises:
        ValueError: there is no such layer, or one of ``requested`` matches none.
    """
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, kinds) and inside(name, [model.base_model_prefix]) and not inside(name, whole)
    }
    inputs = input_shapes(model, layers)
    used = [name for name in layers if name in inputs and not (by_row and inputs[name][0] != ROWS)]
    if list(requested) == [ALL_LINEAR]:
        used = [name for name in used if isinstance(layers[name], LINEAR)]
        if not used:
            which = "linear layers with the rows as first dimension" if by_row and inputs else "linear layers"
            raise ValueError(
                f"adapters need {which} in the encoder, and {type(model).__name__} has none; name other layers by "
                f"{flag}, or train the whole model."
            )
        return used
    for end in requested:
        _check_requested(model, end, used, whole, flag)
    return [name for name in used if any(_ends(name, end) for end in requested)]


def input_shapes(model: Any, layers: Mapping[str, nn.Module]) -> dict[str, torch.Size]:
    """Shapes of the inputs of those layers from which the logits of ``ROWS`` texts depend, by name.

    Missing are layers for images and boxes, poolers that the head does not read, layers whose weights another module
    uses, and routers, whose output is not one tensor.
    """
    shapes: dict[str, torch.Size] = {}
    zeros: dict[str, Tensor] = {}

    def add_zero(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor | None:
            if not (inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor)):
                return None
            shapes.setdefault(name, inputs[0].shape)
            zero = torch.zeros((), dtype=output.dtype, device=output.device, requires_grad=True)
            return output + zeros.setdefault(name, zero)

        return hook

    handles = [layer.register_forward_hook(add_zero(name)) for name, layer in layers.items()]
    try:
        gradients = model.config.model_type not in REVERSIBLE  # which give none in eval mode
        with evaluating(model), preserved_random_state(), torch.set_grad_enabled(gradients):
            logits = model(**_some_texts(model))["logits"]
    finally:
        for handle in handles:
            handle.remove()
    if not logits.requires_grad or not zeros:
        return shapes
    found = torch.autograd.grad(logits.float().sum(), list(zeros.values()), allow_unused=True)
    return {name: shapes[name] for name, gradient in zip(zeros, found, strict=True) if gradient is not None}


def _some_texts(model: Any) -> dict[str, Tensor]:
    """Token ids (ROWS, LENGTH) that end with the end-of-text token, without padding."""
    config = model.config.get_text_config()
    pad, end = (getattr(config, name, None) for name in ("pad_token_id", "eos_token_id"))
    size = min(vocabulary_size(config) or 2 * LENGTH, 2 * LENGTH)
    usual = [index for index in range(size) if index not in (pad, end)]
    ids = torch.tensor([usual[place % len(usual)] for place in range(ROWS * LENGTH)]).view(ROWS, LENGTH)
    if isinstance(end, int):
        ids[:, -1] = end
    ids = ids.to(next(model.parameters()).device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _ends(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _check_requested(model: nn.Module, end: str, layers: Collection[str], whole: Collection[str], flag: str) -> None:
    if any(_ends(name, end) for name in layers):
        return
    named = {name: module for name, module in model.named_modules() if _ends(name, end)}
    known = f"its layers are {', '.join(sorted({name.rsplit('.', 1)[-1] for name in layers}))}"
    if any(inside(name, whole) for name in named):
        raise ValueError(f"{flag} {end}: it is trained as a whole and needs no adapter; leave it out ({known}).")
    kind = next((type(module) for module in named.values()), None)
    if kind is not None and issubclass(kind, ADAPTABLE):
        raise ValueError(f"{flag} {end}: an adapter of this {kind.__name__} would change no prediction; {known}.")
    if kind is not None:
        raise ValueError(f"{flag} {end}: a {kind.__name__} cannot have an adapter; {known}.")
    raise ValueError(f"{flag} {end} names no layer of this model; {known}.")
