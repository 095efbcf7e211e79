"""Pooling of a classifier: which of the last hidden states its head reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from hf_robust.adversary import evaluating
from hf_robust.losses import POOLINGS, sentence_embedding

HEAD = "classifier"
"""Name of the pooling of the model's own head."""
EMBEDDINGS = (HEAD, *POOLINGS)
_LENGTH = 16
"""Maximum number of tokens in a probe text, which models of all sizes read."""
_SHORT, _LONG = "a good film", "the music of this film was very good and so were all of the actors"


def chosen_pooling(model: Any, tokenizer: Any, wanted: str, remedy: str) -> str:
    """One of :data:`hf_robust.losses.POOLINGS`: ``wanted``, or for "classifier" the pooling of the model's own head.

    BERT's head reads the first token ([CLS]), that of a decoder the last one, that of ModernBERT the first token or
    the mean, and that of our LSTM and CNN the maximum. The pooling is found by a test: the gradient of the logits with
    respect to the last hidden states must be that of the pooled vector.

    Args:
        model: sequence classifier of transformers on its device, with or without PEFT adapters.
        tokenizer: its tokenizer.
        wanted: one of :data:`EMBEDDINGS`.
        remedy: end of the error message, which says what to do if the pooling cannot be used.

    Raises:
        ValueError: the model has no hidden states, its head uses none of these poolings, or the pooled vector is the
            same for texts that differ in a word (for example the first token of a decoder).
    """
    batch = probe_texts(tokenizer, next(model.parameters()).device)
    mask = batch["attention_mask"]
    with _differentiable(model), evaluating(model), torch.enable_grad():
        states, handed, logits = _states_and_logits(model, batch)
        pooling = _head_pooling(states, handed, logits, mask) if wanted == HEAD else wanted
        if pooling is None:
            raise ValueError(
                f"the head of {type(model).__name__} reads neither the first or last real token nor the mean or "
                f"maximum of its last hidden states; {remedy}."
            )
        try:
            _, text, changed = sentence_embedding(states, mask, pooling).detach().float()
        except ValueError as error:
            raise ValueError(f"{str(error).rstrip('.')}; {remedy}.") from error
    if (text - changed).abs().max() <= 1e-6 * text.abs().max():
        raise ValueError(
            f"the pooling {wanted} ignores the text in {type(model).__name__}: its state stays the same when a word "
            f"changes; {remedy}."
        )
    return pooling


def first_states(outputs: Any, model: Any) -> Tensor:
    """(B, L, H) first hidden states of a pass with ``output_hidden_states``; those of the encoder if there is one.

    Raises:
        ValueError: there are none.
    """
    return _all_states(outputs, model, "encoder_hidden_states")[0]


def last_states(outputs: Any, model: Any) -> Tensor:
    """(B, L, H) last hidden states of a pass with ``output_hidden_states``; those of the decoder if there is one.

    Raises:
        ValueError: there are none.
    """
    return _all_states(outputs, model, "decoder_hidden_states")[-1]


def _all_states(outputs: Any, model: Any, of_two: str) -> tuple[Tensor, ...]:
    hidden: tuple[Tensor, ...] | None = outputs.get("hidden_states") or outputs.get(of_two)
    if not hidden:
        raise ValueError(
            f"representations need the model's hidden states, and {type(model).__name__} returns none; use an encoder "
            "such as BERT, RoBERTa or DeBERTa."
        )
    return hidden


def probe_texts(tokenizer: Any, device: torch.device) -> dict[str, Tensor]:
    """Tokens of three texts: a short one, a long one, and the long one with another token in its middle."""
    texts = [_SHORT if tokenizer.pad_token is not None else _LONG, _LONG, _LONG]
    padding = tokenizer.pad_token is not None
    encoded = tokenizer(texts, padding=padding, truncation=True, max_length=_LENGTH, return_tensors="pt")
    # No other tensors: the tokenizer may return some that the model does not accept.
    ids = encoded["input_ids"]
    mask = encoded.get("attention_mask", torch.ones_like(ids))
    real = mask[2].nonzero().flatten()
    taken = {*tokenizer.all_special_ids, *ids[2].tolist()}
    ids[2, real[len(real) // 2]] = next(index for index in range(len(tokenizer)) if index not in taken)
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


@contextmanager
def _differentiable(model: Any) -> Iterator[None]:
    """Context in which frozen weights require gradients too, since possibly only the head is trained."""
    frozen = [one for one in model.parameters() if not one.requires_grad and one.is_floating_point()]
    for one in frozen:
        one.requires_grad_(True)
    try:
        yield
    finally:
        for one in frozen:
            one.requires_grad_(False)


def _states_and_logits(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Last hidden states, the states that the head receives (some models, as XLNet, return copies), and logits."""
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    base, base_outputs = core.base_model, []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        base_outputs.append(output[0])

    handles = [] if base is core else [base.register_forward_hook(keep)]
    try:
        outputs = model(**batch, output_hidden_states=True)
    finally:
        for handle in handles:
            handle.remove()
    states = last_states(outputs, model)
    return states, (base_outputs[-1] if base_outputs else states), outputs["logits"]


def _head_pooling(states: Tensor, handed: Tensor, logits: Tensor, mask: Tensor) -> str | None:
    """The first pooling whose gradient equals that of the head; None if there is none."""
    weights = torch.linspace(1.0, 2.0, logits.shape[-1], device=logits.device)
    (by_head,) = torch.autograd.grad((logits.float() * weights).sum(), handed, retain_graph=True, allow_unused=True)
    if by_head is None or not by_head.any() or states.shape != handed.shape or not torch.allclose(states, handed):
        return None
    for pooling in POOLINGS:
        try:
            pooled = sentence_embedding(handed, mask, pooling)
        except ValueError:
            continue
        (by_pooling,) = torch.autograd.grad(pooled, handed, by_head.sum(dim=1), retain_graph=True)
        if (by_head - by_pooling).abs().max() <= 1e-2 * by_head.abs().max():
            return pooling
    return None
