"""Change hidden states inside a model's own forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from hf_robust.adversary.hook import perturbed, sequence_first


def encoder_layers(model: Any) -> tuple[nn.ModuleList | None, int]:
    """The model's stack of layers, and how many of them a pass goes through: ALBERT's one group counts each time.

    None and 0 where there is no such stack, as in an LSTM.
    """
    depth = getattr(model.config, "num_hidden_layers", None) or 0
    sizes = {depth, getattr(model.config, "num_hidden_groups", depth)} - {0}
    for module in model.modules():
        # A layer has parts, unlike a filter of a CNN.
        if isinstance(module, nn.ModuleList) and len(module) in sizes and all(any(one.children()) for one in module):
            return module, depth
    return None, 0


@contextmanager
def changed_states(model: nn.Module, layer: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """One forward pass of ``model`` in the block goes on from ``change`` of its states after ``layer`` layers.

    ``change`` maps (B, L, H) to (B, L, H). Layers count from 1; 0 are the word embeddings, before positions and layer
    norm. DeBERTa-v2's convolution, where a model has one, belongs to layer 2. ``model`` is the bare model, whatever
    wraps it in the pass itself.

    Raises:
        ValueError: the pass did not get as far as ``layer`` layers.
    """
    if layer == 0:
        with perturbed(model, change):
            yield
        return
    stack, _ = encoder_layers(model)
    turned = sequence_first(model)
    calls = 0

    def replace(module: nn.Module, inputs: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != layer:
            return None
        states = output if isinstance(output, Tensor) else output[0]
        new = change(states.transpose(0, 1)).transpose(0, 1) if turned else change(states)
        return new if isinstance(output, Tensor) else (new, *output[1:])

    handles = [module.register_forward_hook(replace) for module in stack or ()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if calls < layer:
        raise ValueError(
            f"{type(model).__name__}'s forward pass went through {calls} encoder layers, so the states after layer "
            f"{layer} were not changed; name a layer that it has, or 0 for the word embeddings."
        )
