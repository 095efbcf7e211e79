"""Give a model saved tensors under whatever names they were saved, all of them or none.

A model is saved under the names of the checkpoint that it came from (``LayerNorm.gamma``, a tensor for each expert).
``from_pretrained`` converts them, and ``load_state_dict`` alone, which transformers' Trainer calls, does not: what it
then misses keeps its value, with a warning.
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
    """Copy saved tensors into a model's own, converted as ``from_pretrained`` does.

    Raises:
        ValueError: a tensor of the model is not among them, has another shape, or one of them has no place.
    """
    own = model.state_dict()
    found = converted(model, saved, own)
    there = {own[name].data_ptr() for name in found if name in own}
    tied_to_them = (name for name in own if own[name].numel() and own[name].data_ptr() in there)
    left_out = getattr(model, "_keys_to_ignore_on_load_missing", None) or ()
    missing = _unexplained(own.keys() - found.keys() - set(tied_to_them), left_out)
    refuse_names(missing, f"{source} lacks tensors of this {type(model).__name__}", remedy)
    # Buffers that were saved once and are made anew by now.
    made_anew = {name for name, _ in model.named_buffers()}
    dropped = (*(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()), r"rotary_emb\.inv_freq$")
    stray = _unexplained(found.keys() - own.keys() - made_anew, dropped)
    refuse_names(stray, f"{source} has tensors that this {type(model).__name__} has not", remedy)
    resized = [name for name in found.keys() & own.keys() if found[name].shape != own[name].shape]
    refuse_names(resized, f"{source} has tensors of other shapes than this {type(model).__name__}", remedy)
    model.load_state_dict(found, strict=False)


def _unexplained(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    return [name for name in names if not any(re.search(pattern, name) for pattern in patterns)]


def refuse_names(names: Iterable[str], what: str, remedy: str) -> None:
    """Nothing where there are no names.

    Raises:
        ValueError: ``what``, the first names, and ``remedy``.
    """
    found = sorted(names)
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise ValueError(f"{what} ({', '.join(found[:_NAMED])}{more}), so it is not of this model; {remedy}.")


def converted(model: Any, saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Saved tensors under the names, and in the form, that the model has them; others keep their names.

    Private parts of transformers (a test pins them): its ``save_pretrained`` reverts what they do here, and its
    Trainer does not do it again (huggingface/transformers#43701, #48805).
    """
    conversions = get_model_conversion_mapping(model)
    renamings = [one for one in conversions if isinstance(one, WeightRenaming)]
    converters = [one for one in conversions if isinstance(one, WeightConverter)]
    by_pattern = {pattern: one for one in converters for pattern in one.source_patterns}
    gathered: dict[str, Any] = {}
    for key in sorted(saved, key=dot_natural_key):
        name, pattern = rename_source_key(key, renamings, converters, getattr(model, "base_model_prefix", None), own)
        if name not in own and key in own:
            name, pattern = key, None
        entry = copy.deepcopy(by_pattern[pattern]) if pattern else WeightRenaming(key, name)
        gathered.setdefault(name, entry).add_tensor(name, key, pattern or key, saved[key])
    found: dict[str, Tensor] = {}
    for name, entry in gathered.items():
        for target, value in entry.convert(name, model=model, config=model.config).items():
            found[target] = value[0] if isinstance(value, list) else value
    return found
