"""Load saved tensors into a model under converted names, all of them or none.

A model is saved under the names of its original checkpoint (``LayerNorm.gamma``, a tensor for each expert).
``from_pretrained`` converts these names. The Trainer of transformers calls ``load_state_dict`` alone, which does not:
a parameter that it does not find keeps its value, with only a warning.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

_NAMED = 3


def load_weights(model: Any, saved: Mapping[str, Tensor], source: str, remedy: str) -> None:
    """Copy saved tensors into a model, with their names converted as ``from_pretrained`` does.

    Raises:
        ValueError: a tensor of the model is missing or has another shape, or a saved tensor is not in the model.
    """
    state = model.state_dict()
    tensors = converted(model, saved, state)
    present = {state[name].data_ptr() for name in tensors if name in state}
    tied = (name for name in state if state[name].numel() and state[name].data_ptr() in present)
    ignored_missing = getattr(model, "_keys_to_ignore_on_load_missing", None) or ()
    missing = _unmatched(state.keys() - tensors.keys() - set(tied), ignored_missing)
    refuse_names(missing, f"{source} lacks tensors of this {type(model).__name__}", remedy)
    # Buffers that older versions saved and newer ones compute when the model is created.
    buffers = {name for name, _ in model.named_buffers()}
    ignored = (*(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()), r"rotary_emb\.inv_freq$")
    unexpected = _unmatched(tensors.keys() - state.keys() - buffers, ignored)
    refuse_names(unexpected, f"{source} has tensors that are not in this {type(model).__name__}", remedy)
    resized = [name for name in tensors.keys() & state.keys() if tensors[name].shape != state[name].shape]
    refuse_names(resized, f"{source} has tensors of other shapes than this {type(model).__name__}", remedy)
    model.load_state_dict(tensors, strict=False)


def _unmatched(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    return [name for name in names if not any(re.search(pattern, name) for pattern in patterns)]


def refuse_names(names: Iterable[str], what: str, remedy: str) -> None:
    """Refuse ``names`` if there are any.

    Raises:
        ValueError: the message contains ``what``, the first names and ``remedy``.
    """
    names = sorted(names)
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise ValueError(f"{what} ({', '.join(names[:_NAMED])}{more}), so it is not of this model; {remedy}.")


def converted(model: Any, saved: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Saved tensors under the names and in the form of the model's ``state``; unknown ones keep their names.

    Uses private functions of transformers (a test pins them): its ``save_pretrained`` reverts this conversion, and
    its Trainer does not apply it again (huggingface/transformers#43701, #48805).
    """
    conversions = get_model_conversion_mapping(model)
    renamings = [one for one in conversions if isinstance(one, WeightRenaming)]
    converters = [one for one in conversions if isinstance(one, WeightConverter)]
    by_pattern = {pattern: one for one in converters for pattern in one.source_patterns}
    gathered: dict[str, Any] = {}
    for key in sorted(saved, key=dot_natural_key):
        name, pattern = rename_source_key(key, renamings, converters, getattr(model, "base_model_prefix", None), state)
        if name not in state and key in state:
            name, pattern = key, None
        entry = copy.deepcopy(by_pattern[pattern]) if pattern else WeightRenaming(key, name)
        gathered.setdefault(name, entry).add_tensor(name, key, pattern or key, saved[key])
    tensors: dict[str, Tensor] = {}
    for name, entry in gathered.items():
        for target, value in entry.convert(name, model=model, config=model.config).items():
            tensors[target] = value[0] if isinstance(value, list) else value
    return tensors
