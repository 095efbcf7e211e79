"""TA-VAT's variable: a perturbation of the text, plus one of each word that is scaled by its relative norm."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hf_robust.adversary.norms import StepRule, keep_finite, sample_norm, token_norm
from hf_robust.adversary.perturbation import OffsetVariable

_SMALLEST = 1e-8


@dataclass(frozen=True)
class TokenAware(OffsetVariable):
    r"""``delta`` + ``eta``, each (B, L, E) float32 and zero where ``mask`` is zero (Li and Qiu 2021, Algorithm 1).

    .. math::
        \delta &\leftarrow \delta + \alpha\, g / \|g_b\|_F \\
        \eta_l &\leftarrow s_l\,(\eta_l + \alpha_\eta\, g_l / \|g_l\|_2),\qquad s_l = \|\eta_l\| / \max_j\|\eta_j\|

    Both shrink by the same factor if \|delta_b + eta_b\|_F is above the radius. The embeddings depend on their sum, so
    that one gradient is enough for both. ``token_step`` is alpha_eta.
    """

    delta: Tensor
    eta: Tensor
    mask: Tensor
    rule: StepRule
    token_step: float
    relative: bool = False

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        return (self.delta,)

    def with_leaves(self, leaves: tuple[Tensor, ...]) -> TokenAware:
        return replace(self, delta=leaves[0])

    @property
    def offset(self) -> Tensor:
        return self.delta + self.eta

    def moved(self, gradients: tuple[Tensor, ...]) -> TokenAware:
        gradient = gradients[0].float() * self.mask
        delta, eta = self._stepped(gradient)
        eta = eta * token_scale(eta)
        shrink = self.rule.shrink(sample_norm(delta + eta))
        return replace(
            self,
            delta=keep_finite(delta * shrink, self.delta, gradient),
            eta=keep_finite(eta * shrink, self.eta, gradient),
        )

    def step_offset(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """(B, L, E) the part of the next point's offset that comes from the step along the gradient.

        The rest of the move is no step: the token scaling and the radius also shrink the former offset. The part of
        each token is a positive multiple of its own gradient.
        """
        gradient = gradients[0].float() * self.mask
        delta, eta = self._stepped(gradient)
        scale = token_scale(eta)
        shrink = self.rule.shrink(sample_norm(delta + eta * scale))
        step = (delta - self.delta + (eta - self.eta) * scale) * shrink
        return keep_finite(step, torch.zeros_like(step), gradient)

    def _stepped(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Delta and eta after a step along the gradient, before any scaling."""
        delta = self.delta + self.rule.step_size * self.rule.direction(gradient)
        return delta, self.eta + self.token_step * gradient / token_norm(gradient).clamp(min=_SMALLEST)


def token_scale(eta: Tensor) -> Tensor:
    """(B, L, 1) in [0, 1]: the norm of each token's eta, relative to the largest one of its text."""
    sizes = token_norm(eta)
    return sizes / sizes.amax(dim=1, keepdim=True).clamp(min=_SMALLEST)
