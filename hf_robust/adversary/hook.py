"""Hooks that change word embeddings or hidden states inside the forward pass of a model.

The perturbation acts on the output of the embedding look-up, before positions, layer norm and dropout, as in all
official code. The model still gets ``input_ids``, because ``inputs_embeds`` would not be exact: RoBERTa computes its
positions from the ids, GPT-2 and Llama find the last real token by them, and T5 and BART have no such argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

# Models whose embedding layer takes and returns (L, B, ...).
_SEQUENCE_FIRST = ("xlnet",)


def word_embeddings(model: nn.Module) -> list[nn.Module]:
    """All layers that look up the model's word vectors: T5 and BART have several that share one weight.

    Raises:
        ValueError: the model has no word embedding layer.
    """
    try:
        layer: Any = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        layer = None
    if layer is None or not hasattr(layer, "weight"):
        raise ValueError(
            f"{type(model).__name__} has no word embeddings to perturb (get_input_embeddings() gives no layer with a "
            "weight); use a model that looks tokens up, or a method without adv_* flags."
        )
    # An adapter on the look-up contains the adapted layer; the hook belongs on the output of the adapter.
    inside = set(layer.modules())
    sharing = (m for m in model.modules() if isinstance(m, nn.Embedding) and m.weight is layer.weight)
    return [layer, *(m for m in sharing if m not in inside)]


def hook_look_up(layer: nn.Module, hook: Callable[..., Any]) -> RemovableHandle:
    """Add a forward hook to a layer of :func:`word_embeddings`.

    It runs after the layer's other hooks, but before FSDP's, after which the layer has no whole weight to look up.
    """
    return layer.register_forward_hook(hook, prepend=hasattr(layer, "unshard"))


def embedding_width(model: nn.Module) -> int:
    """E, the width of a word vector; it differs from the hidden width in ALBERT and ELECTRA-small."""
    return int(word_embeddings(model)[0].weight.shape[1])  # type: ignore[index]


def sequence_first(model: nn.Module) -> bool:
    """Whether the embedding layer takes and returns (L, B, ...)."""
    return getattr(getattr(model, "config", None), "model_type", "") in _SEQUENCE_FIRST


@contextmanager
def perturbed(model: nn.Module, change: Callable[[Tensor], Tensor] | None) -> Iterator[None]:
    """Apply ``change`` to the word embeddings in one forward pass of ``model`` inside the block.

    ``change`` maps (B, L, E) to (B, L, E); None changes nothing. Only the first look-up of the pass changes, which is
    the encoder's in T5 and BART: their decoder reads the same tokens shifted by one, so that the perturbation would
    meet other words there. ``model`` is the unwrapped model, even if the pass itself uses a wrapper.

    Raises:
        ValueError: the model has no embedding layer, it returns no tensor, or the pass did not use it.
    """
    if change is None:
        yield
        return
    turned = sequence_first(model)
    length: int | None = None
    changed = False

    def measure(module: nn.Module, args: Any, kwargs: Any) -> None:
        nonlocal length
        ids = kwargs.get("input_ids", args[0] if args else None)
        length = None if ids is None else ids.shape[1]

    def replace(module: nn.Module, inputs: Any, output: Any) -> Tensor | None:
        nonlocal changed
        if changed:
            return None
        changed = True
        return _changed(_vectors(module, output), change, length, turned)

    handles = [hook_look_up(layer, replace) for layer in word_embeddings(model)]
    handles.append(model.register_forward_pre_hook(measure, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if not changed:
        raise ValueError(
            f"{type(model).__name__}'s forward pass did not use its own word embeddings, so nothing was perturbed; "
            "pass input_ids, not inputs_embeds, and torchrun instead of DataParallel."
        )


@contextmanager
def at_look_ups(model: nn.Module, ids: Tensor, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Apply ``change`` to the word embeddings in every look-up of ``ids`` (B, L) inside the block.

    Unlike in :func:`perturbed` there may be several, if a method's inference embeds a text more than once (a mask
    network, a vote of several passes). Look-ups of other ids stay as they are: other texts, and the shifted ids of a
    decoder. ``change`` maps (B, L, E) to (B, L, E).

    Raises:
        ValueError: the model has no embedding layer, it returns no tensor, or no look-up in the block was of these
            ids.
    """
    changed = False

    def replace(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> Tensor | None:
        nonlocal changed
        if not inputs:
            return None
        looked_up = inputs[0]
        turned = looked_up.ndim == 2 and sequence_first(model)
        straight = looked_up.t() if turned else looked_up
        # Longformer and BigBird append padding to the batch.
        if straight.ndim != 2 or not torch.equal(straight[:, : ids.shape[1]], ids):
            return None
        changed = True
        return _changed(_vectors(module, output), change, ids.shape[1], turned)

    handles = [hook_look_up(layer, replace) for layer in word_embeddings(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if not changed:
        raise ValueError(
            f"there are no gradients by word: {type(model).__name__} predicts here without looking its input_ids up "
            "in its word embeddings (a vote looks other texts up); use an attack or --attribution without gradients, "
            "or another model."
        )


def _vectors(layer: nn.Module, output: Any) -> Tensor:
    """The word vectors that a layer looked up; I-BERT's quantised layer returns a tuple."""
    if isinstance(output, Tensor):
        return output
    raise ValueError(
        f"the word embeddings are a {type(layer).__name__}, which returns a {type(output).__name__} where a tensor of "
        "word vectors is needed; use another model, or methods and attacks without gradients by word."
    )


def _changed(output: Tensor, change: Callable[[Tensor], Tensor], length: int | None, turned: bool) -> Tensor:
    """The output of a look-up with its first ``length`` tokens changed; the rest is padding that the model appends."""
    words = output.transpose(0, 1) if turned else output
    if length is None or length == words.shape[1]:
        words = change(words)
    else:
        words = torch.cat([change(words[:, :length]), words[:, length:]], dim=1)
    return words.transpose(0, 1) if turned else words


def encoder_layers(model: Any) -> tuple[nn.ModuleList | None, int]:
    """The model's stack of layers, and the number of layers in a pass; ALBERT's shared layer counts each time.

    Returns None and 0 for a model without such a stack, for example an LSTM.
    """
    depth = getattr(model.config, "num_hidden_layers", None) or 0
    sizes = {depth, getattr(model.config, "num_hidden_groups", depth)} - {0}
    for module in model.modules():
        # An encoder layer has submodules; a filter of a CNN has none.
        if isinstance(module, nn.ModuleList) and len(module) in sizes and all(any(one.children()) for one in module):
            return module, depth
    return None, 0


@contextmanager
def _without_checkpointing(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Keep the activations of ``layers`` in passes inside the block, also under gradient checkpointing.

    transformers before 5.23 computes a checkpointed layer again in the backward pass with its hooks, which then are
    no longer there, so that the gradient would be that of another function.
    """
    checkpointed: list[Any] = [layer for layer in layers if getattr(layer, "gradient_checkpointing", False)]
    for layer in checkpointed:
        layer.gradient_checkpointing = False
    try:
        yield
    finally:
        for layer in checkpointed:
            layer.gradient_checkpointing = True


@contextmanager
def changed_states(model: nn.Module, layer: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Apply ``change`` to the hidden states after layer ``layer`` in one forward pass of ``model`` inside the block.

    ``change`` maps (B, L, H) to (B, L, H). Layers count from 1; 0 means the word embeddings, before positions and
    layer norm. The convolution of DeBERTa-v2, if a model has one, belongs to layer 2. ``model`` is the unwrapped
    model, even if the pass itself uses a wrapper.

    Raises:
        ValueError: the pass used fewer than ``layer`` layers.
    """
    if layer == 0:
        with perturbed(model, change):
            yield
        return
    stack, depth = encoder_layers(model)
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

    layers = list(stack or ())
    handles = [module.register_forward_hook(replace) for module in layers]
    try:
        # A shared layer computes several layers of a pass.
        with _without_checkpointing(layers[layer - 1 : layer] if len(layers) == depth else layers):
            yield
    finally:
        for handle in handles:
            handle.remove()
    if calls < layer:
        raise ValueError(
            f"{type(model).__name__}'s forward pass went through {calls} encoder layers, so the states after layer "
            f"{layer} were not changed; give a lower number, or 0 for the word embeddings."
        )
