"""Increment weights: the weights of the adaptive methods over the increments of an ascent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hf_robust.adversary import project_simplex


class IncrementWeights(nn.Module):
    """The increment weights ``w`` (k,), shared by the whole training set.

    Args:
        first: (k,) initial weights, with sum 1 unless ``raw``.
        parametrisation: ``simplex`` (projection after each step), ``softmax`` (of logits), or ``raw``.
        wrapped: the auxiliary module of the wrapped method, if any.
    """

    first: Tensor

    def __init__(self, first: Tensor, parametrisation: str, wrapped: nn.Module | None = None) -> None:
        super().__init__()
        self._parametrisation = parametrisation
        self.register_buffer("first", first.clone(), persistent=False)
        self.values = nn.Parameter(first.log() if parametrisation == "softmax" else first.clone())
        self.wrapped = wrapped

    def forward(self) -> Tensor:
        """w (k,), differentiable."""
        weights: Tensor = self.values
        if self._parametrisation == "softmax":
            weights = weights.softmax(0)
        if self._parametrisation == "simplex":
            # The value is the same, and the gradient is tangential to the simplex. The common part of the gradient
            # would be projected away after a plain step, but would dominate under Adam, which normalises gradients.
            mean = weights.mean()
            weights = weights + (mean.detach() - mean)
        return weights

    @torch.no_grad()
    def project(self) -> None:
        """Project w onto the simplex, if that is the parametrisation."""
        if self._parametrisation == "simplex":
            # On the CPU, because a cumulative sum is not deterministic on a GPU.
            self.values.copy_(project_simplex(self.values.cpu()))
