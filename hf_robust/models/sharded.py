"""Models whose parameters are sharded over ranks (FSDP2): whole values, and passes that need no other rank."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from torch import Tensor, nn

_GATHERED: WeakSet[nn.Module] = WeakSet()


def is_sharded(tensor: Any) -> bool:
    """Whether a tensor holds this rank's part of a value that several ranks hold together."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The whole value on every rank; all ranks must call this, in the same order."""
    value: Any = tensor
    if is_sharded(value):
        value = value.full_tensor()
    if hasattr(value, "trigger_wait"):  # still on its way
        value = value.trigger_wait()
    complete: Tensor = value
    return complete


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict with whole values, on the CPU; all ranks must call this."""
    return {
        name: whole(value).detach().cpu() if isinstance(value, Tensor) else value
        for name, value in module.state_dict().items()
    }


def shard_as(value: Tensor, other: Tensor) -> Tensor:
    """A whole ``value`` that all ranks have, as this rank's part of it if ``other`` is sharded."""
    if not is_sharded(other):
        return value
    from torch.distributed.tensor import distribute_tensor

    placed: Any = other
    sharded: Tensor = distribute_tensor(value, placed.device_mesh, placed.placements, src_data_rank=None)
    return sharded


def reshard(model: nn.Module) -> None:
    """Free the whole parameters that a pass left behind, so that the model's parameters are shards again."""
    for part in _parts(model):
        part.reshard()


def _parts(model: nn.Module) -> list[Any]:
    """The modules that FSDP gathers one after another, the outermost first."""
    return [module for module in model.modules() if hasattr(module, "unshard")]


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """Give every rank the whole parameters inside the block, so that ranks may run different numbers of passes.

    A forward or backward pass of a sharded model waits for all ranks, which must therefore run the same passes. Inside
    the block passes are those of an unsharded model: each rank needs memory for all parameters. Parameters must not
    change there, and ``state_dict`` must not be called. All ranks enter and leave the block together. Nothing happens
    to a model without shards, or in a block inside another one.
    """
    parts = _parts(model)
    if not parts or model in _GATHERED:
        yield
        return
    parts[0]._get_fsdp_state()._lazy_init()  # the first pass may be inside the block
    groups = [group for part in parts for group in part._get_fsdp_state()._fsdp_param_groups]
    # Private in torch (a test pins it): when a group frees its parameters can be set publicly, but not read.
    before = [group.post_forward_mesh_info for group in groups]
    for part in parts:
        part.set_reshard_after_backward(False, recurse=False)
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    _GATHERED.add(model)
    try:
        yield
    finally:
        _GATHERED.discard(model)
        for group, mesh in zip(groups, before, strict=True):
            group.post_forward_mesh_info = mesh
        for part in parts:
            part.set_reshard_after_backward(True, recurse=False)
            part.reshard()
