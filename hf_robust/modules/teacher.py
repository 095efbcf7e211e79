"""The exponential moving average of a classifier's parameters, SMART's teacher."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hf_robust.adversary import evaluating
from hf_robust.models.sharded import gathered, whole


class AverageWeights(nn.Module):
    """``average <- decay * average + (1 - decay) * weight`` for each trainable parameter of ``model``.

    The averages start at the parameters. They are float32 buffers, so that no optimizer group contains them and small
    changes are not rounded away. Frozen parameters are not stored. All ranks compute equal averages;
    DistributedDataParallel also sends buffers in each pass, which ``--ddp_broadcast_buffers False`` avoids. With a
    sharded model every rank holds the whole averages, and the whole parameters in each pass of the averages.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._names = [name for name, weight in model.named_parameters() if weight.requires_grad]
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                self.register_buffer(_key(name), weight.detach().float().clone())

    def values(self) -> dict[str, Tensor]:
        """The float32 averages by the names of the model's parameters."""
        return {name: self.get_buffer(_key(name)) for name in self._names}

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        """Move the averages towards the parameters of ``model``."""
        weights = dict(model.named_parameters())
        for name, average in self.values().items():
            average.lerp_(whole(weights[name].detach()).to(average), 1 - decay)

    @torch.no_grad()
    def logits(self, model: nn.Module, batch: dict[str, Any]) -> Tensor:
        """(B, K) logits of ``model`` with the averages as its parameters, without dropout."""
        weights = dict(model.named_parameters())
        averages = {name: average.to(weights[name].dtype) for name, average in self.values().items()}
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        with evaluating(model), gathered(model):
            logits: Tensor = functional_call(model, averages, kwargs=inputs)["logits"]
        return logits


def _key(name: str) -> str:
    return name.replace(".", "/")
