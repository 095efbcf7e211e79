"""What a classifier's last layer reads of a text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import evaluating
from hf_robust.interpret.head import probe_texts


def check_features(model: Any, tokenizer: Any) -> None:
    """Refuse a model without such features before anything is trained, as :func:`classifier_features` would later."""
    with torch.no_grad(), evaluating(model), classifier_features(model):
        model(**probe_texts(tokenizer, next(model.parameters()).device))


@contextmanager
def classifier_features(model: Any) -> Iterator[list[Tensor]]:
    """Yields a list that each forward pass in the block appends its features to, (B, H).

    They are the input of the last linear layer with an output for each class: BERT's pooled [CLS] after dropout.
    ``model`` is the bare model, whatever wraps it in the pass itself.

    Raises:
        ValueError: the pass had no such layer, or it read something else than one vector for each text.
    """
    features: list[Tensor] = []
    last: list[Tensor] = []

    def collect(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        last.append(inputs[0])

    def close(module: nn.Module, inputs: Any, outputs: Any) -> None:
        if not last or last[-1].ndim != 2 or len(last[-1]) != len(outputs["logits"]):
            raise ValueError(
                f"{type(model).__name__} classifies by no linear layer that reads one vector for each text; use an "
                "encoder such as BERT, RoBERTa or DeBERTa."
            )
        features.append(last[-1])
        last.clear()

    # An adapter beside the classifier has as many outputs and reads what it made itself.
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
