"""Classifier features: the input of a classifier's last linear layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import evaluating
from hf_robust.interpret.head import probe_texts


def check_features(model: Any, tokenizer: Any) -> None:
    """Refuse, before training, a model without classifier features; raises as :func:`classifier_features` does."""
    with torch.no_grad(), evaluating(model), classifier_features(model):
        model(**probe_texts(tokenizer, next(model.parameters()).device))


@contextmanager
def classifier_features(model: Any) -> Iterator[list[Tensor]]:
    """Yield a list to which each forward pass in the block appends its features (B, H).

    The features are the input of the last linear layer with one output for each class: in BERT the pooled [CLS] after
    dropout. ``model`` is the unwrapped model, even if the pass itself uses a wrapper.

    Raises:
        ValueError: the pass used no such layer, or the layer did not read one vector for each text.
    """
    features: list[Tensor] = []
    last: list[Tensor] = []

    def collect(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        last.append(inputs[0])

    def close(module: nn.Module, inputs: Any, outputs: Any) -> None:
        if not last or last[-1].ndim != 2 or len(last[-1]) != len(outputs["logits"]):
            raise ValueError(
                f"{type(model).__name__} has no linear layer that classifies one vector for each text; use an encoder "
                "such as BERT, RoBERTa or DeBERTa."
            )
        features.append(last[-1])
        last.clear()

    # LoRA's second matrix on the classifier has the same number of outputs, but reads LoRA's own vectors.
    handles = [
        module.register_forward_pre_hook(collect)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == model.config.num_labels and "lora_" not in name
    ]
    handles.append(model.register_forward_hook(close))
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()
