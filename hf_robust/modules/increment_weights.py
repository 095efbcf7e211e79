"""The adaptive methods' weights over the increments of an ascent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hf_robust.adversary import project_simplex


class IncrementWeights(nn.Module):
    """``w`` (k,), one for the whole training set; ``wrapped`` is the wrapped method's own auxiliary module.

    Args:
        first: (k,) the first weights; of sum one unless raw.
        parametrisation: ``simplex`` (projected after each step), ``softmax`` (of logits), ``raw``.
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
            # The same value, with the gradient along the simplex. What all weights share would be projected away after
            # a plain step; under Adam, which brings every gradient to one size, it would be all that is left.
            mean = weights.mean()
            weights = weights + (mean.detach() - mean)
        return weights

    @torch.no_grad()
    def project(self) -> None:
        """Put w back on the simplex."""
        if self._parametrisation == "simplex":
            # A handful of numbers, whose cumulative sum has no deterministic form on a GPU.
            self.values.copy_(project_simplex(self.values.cpu()))
