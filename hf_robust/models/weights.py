"""A model's weights: their hash, and the ones that no checkpoint holds."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import torch
from torch import nn

from hf_robust.models.sharded import whole


def weights_hash(model: nn.Module, without: Collection[str] = ()) -> str:
    """Hash (16 hexadecimal characters) of the names and bytes of the state dict, except the names in ``without``.

    A sharded model has the hash of the whole one; all ranks must call this.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(model.state_dict().items()):
        if name in without:
            continue
        digest.update(f"{name} ".encode())
        if isinstance(value, torch.Tensor):
            value = whole(value)
            digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def new_weights(model: nn.Module) -> list[str]:
    """Names of the parameters with initial values: the checkpoint lacks them or has them in another shape.

    ``from_pretrained`` did not mark them as loaded. In a model made from a configuration all parameters are new.
    """
    return [name for name, value in model.named_parameters() if not getattr(value, "_is_hf_initialized", False)]


def is_new(model: nn.Module) -> bool:
    """Whether all parameters are new: the model was made from a configuration."""
    return len(new_weights(model)) == len(list(model.parameters()))


def loaded_hash(model: nn.Module) -> str:
    """:func:`weights_hash` of the weights from the checkpoint, without the new ones, which each load draws again.

    Quantized layers are left out, since their codes may depend on the device.
    """
    quantized = {name.rpartition(".")[0] for name, value in model.named_parameters() if not value.is_floating_point()}
    codes = {name for name in model.state_dict() if any(name.startswith(f"{layer}.") for layer in quantized)}
    return weights_hash(model, codes.union(new_weights(model)))
