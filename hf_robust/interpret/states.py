"""How a classifier represents and predicts texts: sentence embeddings and logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hf_robust.adversary import evaluating
from hf_robust.interpret.head import last_states
from hf_robust.interpret.reader import Predict
from hf_robust.losses import sentence_embedding

BATCH = 64


class States(NamedTuple):
    """Embeddings [n, H] and logits [n, K] of n texts, float32 on the CPU, in the order of the texts."""

    embeddings: Tensor
    logits: Tensor


def equal_tokens(
    tokenizer: Any, first: Sequence[Sequence[str]], second: Sequence[Sequence[str]], max_length: int | None = None
) -> int:
    """How many pairs of texts are one to the model: they differ behind ``max_length``, or in unknown words."""
    groups = ([list(column) for column in zip(*texts, strict=True)] for texts in (first, second))
    tokens = (tokenizer(*columns, truncation=True, max_length=max_length)["input_ids"] for columns in groups)
    return sum(one == other for one, other in zip(*tokens, strict=True))


def sentence_states(
    model: Any,
    tokenizer: Any,
    texts: Sequence[Sequence[str]],
    pooling: str,
    max_length: int | None = None,
    predict: Predict | None = None,
) -> States:
    """Last hidden states, pooled over the real tokens, and logits, in eval mode; the mode is put back.

    Args:
        model: a sequence classifier of transformers, on its device.
        tokenizer: its tokenizer, with a padding token.
        texts: each one or two columns.
        pooling: one of `hf_robust.losses.POOLINGS`, as `hf_robust.interpret.head.chosen_pooling` finds it for a
            model; ``mean_pool`` takes [CLS] and [SEP] in.
        max_length: tokens to which texts are cut; None for the tokenizer's own limit.
        predict: how the method predicts, where that is not ``model(**batch)``.

    Raises:
        ValueError: there is no text, or the model gives no hidden states of its tokens.
    """
    if not texts:
        raise ValueError("there is no text to represent; give at least one.")
    device, parts = next(model.parameters()).device, []
    with evaluating(model):
        for start in range(0, len(texts), BATCH):
            columns = [list(column) for column in zip(*texts[start : start + BATCH], strict=True)]
            encoded = tokenizer(*columns, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
            batch: dict[str, Any] = {name: tensor.to(device) for name, tensor in encoded.items()}
            batch["output_hidden_states"] = True
            with torch.inference_mode():
                outputs = model(**batch) if predict is None else predict(model, batch)
            pooled = sentence_embedding(last_states(outputs, model).float(), batch["attention_mask"], pooling)
            parts.append((pooled.cpu(), outputs.logits.float().cpu()))
    return States(*(torch.cat(column) for column in zip(*parts, strict=True)))
