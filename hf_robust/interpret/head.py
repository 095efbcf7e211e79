"""Which of its last hidden states a classifier's own head reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from hf_robust.adversary import evaluating
from hf_robust.losses import POOLINGS, sentence_embedding

HEAD = "classifier"
"""The pooling by which the model's own head reads a text."""
EMBEDDINGS = (HEAD, *POOLINGS)
_SHORT, _LONG = "a good film", "the music of this film was very good and so were all of the actors"


def chosen_pooling(model: Any, tokenizer: Any, wanted: str, remedy: str) -> str:
    """One of :data:`hf_robust.losses.POOLINGS`: ``wanted``, or for "classifier" how the model's own head reads a text.

    BERT's head reads the first token (its state is the authors' [CLS], whatever dense layer follows), a decoder's the
    last one, ModernBERT's the first or the mean, that of our LSTM and CNN the maximum. The model itself is asked: the
    head pools so iff the gradient of the logits by the last hidden states is that of the pooled vector.

    Args:
        model: a sequence classifier of transformers, on its device; bare, or with adapters of PEFT.
        tokenizer: its tokenizer.
        wanted: one of :data:`EMBEDDINGS`.
        remedy: what to do about a model that this cannot be done for; the end of the error.

    Raises:
        ValueError: the model has no hidden states, its head reads them in none of these ways, or what ``wanted`` reads
            is the same for texts that differ in a word: the first token of a decoder, say, which sees no other.
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
            f"{wanted} reads nothing of a text in {type(model).__name__}: its state stays the same when a word "
            f"changes; {remedy}."
        )
    return pooling


def last_states(outputs: Any, model: Any) -> Tensor:
    """(B, L, H) last hidden states of a pass with ``output_hidden_states``; the decoder's, where there is one.

    Raises:
        ValueError: there are none.
    """
    hidden = outputs.get("hidden_states") or outputs.get("decoder_hidden_states")
    if not hidden:
        raise ValueError(
            f"representations need the model's hidden states, and {type(model).__name__} returns none; use an encoder "
            "such as BERT, RoBERTa or DeBERTa."
        )
    states: Tensor = hidden[-1]
    return states


def probe_texts(tokenizer: Any, device: torch.device) -> dict[str, Tensor]:
    """Tokens of three texts: a short one, a long one, and the long one with another token in its middle."""
    texts = [_SHORT if tokenizer.pad_token is not None else _LONG, _LONG, _LONG]
    made = tokenizer(texts, padding=tokenizer.pad_token is not None, return_tensors="pt")
    # Nothing else: a model may not take what its tokenizer gives, which the Trainer leaves out too.
    ids = made["input_ids"]
    mask = made.get("attention_mask", torch.ones_like(ids))
    real = mask[2].nonzero().flatten()
    taken = {*tokenizer.all_special_ids, *ids[2].tolist()}
    ids[2, real[len(real) // 2]] = next(index for index in range(len(tokenizer)) if index not in taken)
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


@contextmanager
def _differentiable(model: Any) -> Iterator[None]:
    """All weights take part in the gradient in the block, the frozen ones too: a head may be all that is trained."""
    frozen = [one for one in model.parameters() if not one.requires_grad and one.is_floating_point()]
    for one in frozen:
        one.requires_grad_(True)
    try:
        yield
    finally:
        for one in frozen:
            one.requires_grad_(False)


def _states_and_logits(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The last hidden states, those that the base hands to the head (some models, as XLNet, return copies), logits."""
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    base, seen = core.base_model, []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        seen.append(output[0])

    handles = [] if base is core else [base.register_forward_hook(keep)]
    try:
        outputs = model(**batch, output_hidden_states=True)
    finally:
        for handle in handles:
            handle.remove()
    states = last_states(outputs, model)
    return states, (seen[-1] if seen else states), outputs["logits"]


def _head_pooling(states: Tensor, handed: Tensor, logits: Tensor, mask: Tensor) -> str | None:
    """The first of the poolings whose gradient is the head's, if any is."""
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
