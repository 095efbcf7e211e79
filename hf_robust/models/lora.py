"""What LoRA does with a model: which layers get adapters, and which modules train and are saved as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from hf_robust.models.weights import is_new, new_weights

LINEAR = (nn.Linear, Conv1D)
"""What multiplies by one matrix; GPT-2's Conv1D holds it transposed."""
ADAPTABLE = (*LINEAR, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)
"""What PEFT can put a LoRA adapter beside."""
ALL_LINEAR = "all-linear"
"""Asks for every linear layer of the encoder, as in PEFT."""

QUERY_AND_VALUE = frozenset(
    "query value q v q_lin v_lin q_proj v_proj query_proj value_proj q_head v_head Wq Wv "
    # of tokens that attend to all (Longformer), and query and key in one (Reformer)
    "query_global value_global query_key "
    # query, key and value, or two of them, in one layer
    "query_key_value qkv_proj Wqkv c_attn in_proj in_proj_qkv in_proj_qkvz kv_proj "
    # unfolded from a small common vector (DeepSeek)
    "q_b_proj kv_b_proj".split()
)
"""What attention's query and value projections are called, which LoRA's paper adapts."""
_MORE = {"phi": frozenset({"fc1", "fc2"})}
"""Where PEFT's default has other layers too."""

_CANNOT_WRAP = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def inside(name: str, modules: Iterable[str]) -> bool:
    """Whether a parameter or module is one of ``modules`` or lies in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def whole_modules(model: Any) -> list[str]:
    """Modules that train and are saved as a whole beside adapters: the head, and what no checkpoint held.

    The head is what has weights outside of the encoder. Of a model made from a configuration, where all is new, there
    is only that.

    Raises:
        ValueError: a new parameter stands alone in a module that is too large to be trained for it.
    """
    prefix = model.base_model_prefix
    found = [name for name, part in model.named_children() if name != prefix and any(True for _ in part.parameters())]
    encoder = getattr(model, prefix, None)
    if encoder is not None and not is_new(model):
        new = {id(model.get_parameter(name)) for name in new_weights(model)}
        found += _new_modules(prefix, encoder, new)
    return found


def _new_modules(name: str, module: nn.Module, new: Collection[int]) -> list[str]:
    """The largest modules in ``module`` all of whose parameters are new."""
    own = [id(value) for value in module.parameters()]
    if not any(value in new for value in own):
        return []
    if all(value in new for value in own) and not isinstance(module, _CANNOT_WRAP):
        return [name]
    alone = [part for part, value in module.named_parameters(recurse=False) if id(value) in new]
    children = list(module.named_children())
    if alone and (children or isinstance(module, _CANNOT_WRAP)):
        raise ValueError(
            f"{name}.{alone[0]} is in no checkpoint and stands beside trained weights, where an adapter cannot save "
            "it; save the whole model once (save_pretrained) and train adapters from that folder."
        )
    if alone:
        return [name]  # a layer without its bias, for one
    return [found for part, child in children for found in _new_modules(f"{name}.{part}", child, new)]


def target_layers(
    model: Any,
    asked: Sequence[str] | None,
    whole: Collection[str],
    *,
    flag: str,
    kinds: tuple[type[nn.Module], ...] = ADAPTABLE,
) -> list[str]:
    """Full names of the layers that get adapters: by default attention's query and value, as PEFT chooses them.

    Where no layer is called so, all linear layers of the encoder. ``asked`` are ends of names (``query``,
    ``layer.1.attention.self.query``), or ``all-linear``.

    Args:
        whole: modules that train as a whole, where no adapter goes.
        flag: what the user asked by.
        kinds: layers that can be adapted.

    Raises:
        ValueError: there is none, or one of ``asked`` names none.
    """
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, kinds) and inside(name, [model.base_model_prefix]) and not inside(name, whole)
    }
    linear = [name for name, layer in layers.items() if isinstance(layer, LINEAR)]
    if not linear and (asked is None or list(asked) == [ALL_LINEAR]):
        raise ValueError(
            f"adapters go beside an encoder's linear layers, and {type(model).__name__} has none that they could "
            f"adapt; name other layers by {flag}, or train the whole model."
        )
    if asked is None:
        wanted = QUERY_AND_VALUE | _MORE.get(model.config.model_type, frozenset())
        # The part of a model that sees images reads no text.
        found = [name for name in layers if name.rsplit(".", 1)[-1] in wanted and "vision" not in name]
        return found or linear
    if list(asked) == [ALL_LINEAR]:
        return linear
    for one in asked:
        _check_named(model, one, layers, whole, flag)
    return [name for name in layers if any(_ends(name, one) for one in asked)]


def _ends(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _check_named(model: nn.Module, one: str, layers: Collection[str], whole: Collection[str], flag: str) -> None:
    if any(_ends(name, one) for name in layers):
        return
    named = {name: part for name, part in model.named_modules() if _ends(name, one)}
    known = f"its layers are {', '.join(sorted({name.rsplit('.', 1)[-1] for name in layers}))}"
    if any(inside(name, whole) for name in named):
        raise ValueError(f"{flag} {one}: it trains as a whole already and needs no adapter; leave it out ({known}).")
    kind = next((type(part).__name__ for part in named.values()), None)
    if kind is not None:
        raise ValueError(f"{flag} {one}: adapters cannot go beside a {kind}; {known}.")
    raise ValueError(f"{flag} {one} names no layer of this model; {known}.")
