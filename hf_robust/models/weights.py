"""A model's weights: one short name for all of them, and which of them no checkpoint holds."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import torch
from torch import nn


def weights_hash(model: nn.Module, without: Collection[str] = ()) -> str:
    """16 hexadecimal characters of the names and bytes of the model's state dict, but for the names in ``without``."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(model.state_dict().items()):
        if name in without:
            continue
        digest.update(f"{name} ".encode())
        if isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def new_weights(model: nn.Module) -> list[str]:
    """Names of the parameters that are as they were drawn: the checkpoint had none of that name, or of another shape.

    They are those that ``from_pretrained`` did not mark as loaded. In a model made from a configuration all are new.
    """
    return [name for name, value in model.named_parameters() if not getattr(value, "_is_hf_initialized", False)]


def is_new(model: nn.Module) -> bool:
    """Whether no checkpoint has filled any parameter: the model was made from a configuration."""
    return len(new_weights(model)) == len(list(model.parameters()))


def loaded_hash(model: nn.Module) -> str:
    """One short name for the weights of a model that its checkpoint holds; new ones are drawn anew by each load."""
    return weights_hash(model, set(new_weights(model)))
