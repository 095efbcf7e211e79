"""LoRA on any model: the layers that get adapters, and the modules that are trained and saved as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from hf_robust.models.weights import is_new, new_weights

LINEAR = (nn.Linear, Conv1D)
"""Layers that multiply by one matrix; GPT-2's Conv1D stores it transposed."""
ADAPTABLE = (*LINEAR, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)
"""Layers that PEFT can adapt by LoRA."""
ALL_LINEAR = "all-linear"
"""Selects all linear layers of the encoder, as in PEFT."""

QUERY_AND_VALUE = frozenset(
    "query value q v q_lin v_lin q_proj v_proj query_proj value_proj q_head v_head Wq Wv "
    # projections of global tokens (Longformer), and query and key in one layer (Reformer)
    "query_global value_global query_key "
    # query, key and value, or two of them, in one layer
    "query_key_value qkv_proj Wqkv c_attn in_proj in_proj_qkv in_proj_qkvz kv_proj "
    # expanded from a low-rank vector (DeepSeek)
    "q_b_proj kv_b_proj".split()
)
"""Names of the query and value projections of attention, which LoRA's paper adapts."""
_MORE = {"phi": frozenset({"fc1", "fc2"})}
"""Further layers in PEFT's defaults, by model type."""

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
    requested: Sequence[str] | None,
    whole: Collection[str],
    *,
    flag: str,
    kinds: tuple[type[nn.Module], ...] = ADAPTABLE,
) -> list[str]:
    """Full names of the layers that get adapters: by default the query and value layers of attention, as in PEFT.

    If no layer has such a name, all linear layers of the encoder get adapters.

    Args:
        requested: ends of layer names (``query``, ``layer.1.attention.self.query``), or ``all-linear``.
        whole: modules that are trained as a whole and get no adapters.
        flag: the flag that sets ``requested``, for error messages.
        kinds: types of layers that can be adapted.

    Raises:
        ValueError: there is no such layer, or one of ``requested`` matches none.
    """
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, kinds) and inside(name, [model.base_model_prefix]) and not inside(name, whole)
    }
    linear = [name for name, layer in layers.items() if isinstance(layer, LINEAR)]
    if not linear and (requested is None or list(requested) == [ALL_LINEAR]):
        raise ValueError(
            f"adapters need linear layers in the encoder, and {type(model).__name__} has none; name other layers by "
            f"{flag}, or train the whole model."
        )
    if requested is None:
        wanted = QUERY_AND_VALUE | _MORE.get(model.config.model_type, frozenset())
        # The vision encoder of a model reads no text.
        targets = [name for name in layers if name.rsplit(".", 1)[-1] in wanted and "vision" not in name]
        return targets or linear
    if list(requested) == [ALL_LINEAR]:
        return linear
    for end in requested:
        _check_requested(model, end, layers, whole, flag)
    return [name for name in layers if any(_ends(name, end) for end in requested)]


def _ends(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _check_requested(model: nn.Module, end: str, layers: Collection[str], whole: Collection[str], flag: str) -> None:
    if any(_ends(name, end) for name in layers):
        return
    named = {name: module for name, module in model.named_modules() if _ends(name, end)}
    known = f"its layers are {', '.join(sorted({name.rsplit('.', 1)[-1] for name in layers}))}"
    if any(inside(name, whole) for name in named):
        raise ValueError(f"{flag} {end}: it is trained as a whole and needs no adapter; leave it out ({known}).")
    kind = next((type(module).__name__ for module in named.values()), None)
    if kind is not None:
        raise ValueError(f"{flag} {end}: a {kind} cannot have an adapter; {known}.")
    raise ValueError(f"{flag} {end} names no layer of this model; {known}.")
