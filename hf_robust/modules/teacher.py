"""A slowly moving copy of the classifier: the exponential moving average of its weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hf_robust.adversary import evaluating


class AverageWeights(nn.Module):
    """``average <- decay * average + (1 - decay) * weights`` of the weights that ``model`` trains, first the weights.

    Buffers in float32, so that they are in no optimizer group and small changes are not rounded away. What is frozen
    is not kept twice. Each rank averages the same weights; DistributedDataParallel also sends buffers with each pass,
    which ``--ddp_broadcast_buffers False`` saves.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._names = [name for name, weight in model.named_parameters() if weight.requires_grad]
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                self.register_buffer(_key(name), weight.detach().float().clone())

    def values(self) -> dict[str, Tensor]:
        """The averages by the names of the model's parameters, float32."""
        return {name: self.get_buffer(_key(name)) for name in self._names}

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        """Move towards the weights of ``model``."""
        weights = dict(model.named_parameters())
        for name, average in self.values().items():
            average.lerp_(weights[name].detach().to(average), 1 - decay)

    @torch.no_grad()
    def logits(self, model: nn.Module, batch: dict[str, Any]) -> Tensor:
        """(B, K) what ``model`` predicts with the averages in place of its weights, without dropout."""
        weights = dict(model.named_parameters())
        averages = {name: average.to(weights[name].dtype) for name, average in self.values().items()}
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        with evaluating(model):
            logits: Tensor = functional_call(model, averages, kwargs=inputs)["logits"]
        return logits


def _key(name: str) -> str:
    return name.replace(".", "/")
