"""Step rules of an ascent: norm and size of one step, radius of the accumulated perturbation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["l2", "linf", "sign", "token_l2", "none"]
NORMS: tuple[Norm, ...] = ("l2", "linf", "sign", "token_l2", "none")
_SMALLEST = 1e-8
# Smaller than any noise that an ascent starts from.
_TINY = 1e-20


def sample_norm(values: Tensor) -> Tensor:
    """(B, 1, 1) float32 Frobenius norm of each sample of (B, L, E)."""
    norm: Tensor = torch.linalg.vector_norm(values.float(), dim=(1, 2), keepdim=True)
    return norm


def token_norm(values: Tensor) -> Tensor:
    """(B, L, 1) float32 norm of each token's vector."""
    norm: Tensor = torch.linalg.vector_norm(values.float(), dim=-1, keepdim=True)
    return norm


@dataclass(frozen=True)
class StepRule:
    r"""One normalised ascent step, and the projection of the accumulated perturbation.

    ``delta <- project(delta + step_size * direction(g))``, for g (B, L, E) of the SUM of per-sample losses:

    ==========  ==========================  ======================================
    norm        direction(g)                projection, where ``max_norm`` > 0
    ==========  ==========================  ======================================
    l2          g / ||g_b||_F               rescale where ||delta_b||_F is above
    linf        g / max(abs(g_b))           clamp each entry
    sign        sign(g)                     clamp each entry
    token_l2    g / ||g_bl||_2              rescale where ||delta_bl||_2 is above
    none        g                           as l2
    ==========  ==========================  ======================================

    ``linf`` follows the official code, which divides by the largest entry and does not take the sign. A sample whose
    gradient is not finite keeps its delta.
    """

    step_size: float
    max_norm: float = 0.0
    norm: Norm = "l2"

    def direction(self, gradient: Tensor) -> Tensor:
        """The normalised step, before ``step_size``: (B, L, E) float32."""
        gradient = gradient.float()
        if self.norm == "none":
            return gradient
        if self.norm == "sign":
            return gradient.sign()
        if self.norm == "linf":
            size = gradient.abs().amax(dim=(1, 2), keepdim=True)
        else:
            size = token_norm(gradient) if self.norm == "token_l2" else sample_norm(gradient)
        return gradient / size.clamp(min=_SMALLEST)

    def project(self, delta: Tensor) -> Tensor:
        """The nearest perturbation inside the radius; ``max_norm`` 0 means no radius."""
        if self.max_norm <= 0:
            return delta
        if self.norm in ("linf", "sign"):
            return delta.clamp(-self.max_norm, self.max_norm)
        return delta * self.shrink(token_norm(delta) if self.norm == "token_l2" else sample_norm(delta))

    def shrink(self, size: Tensor) -> Tensor:
        """The factor that scales a perturbation with norm ``size`` into the radius; 1 if it is inside."""
        return (self.max_norm / size.clamp(min=_SMALLEST)).clamp(max=1.0) if self.max_norm > 0 else size.new_ones(())

    def __call__(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """The next accumulated perturbation, (B, L, E) float32."""
        return keep_finite(self.project(delta + self.step_size * self.direction(gradient)), delta, gradient)

    def start_scale(self, counts: Tensor, width: int, magnitude: float) -> Tensor:
        """Factor on the U(-1, 1) noise at the start, (B, 1, 1); ``counts`` (B,) is the number of perturbed tokens.

        For l2 the expected norm of a sample is magnitude / sqrt(3) at any length.
        """
        if self.norm in ("linf", "sign"):
            scale = torch.ones_like(counts, dtype=torch.float32)
        elif self.norm == "token_l2":
            scale = torch.full_like(counts, width, dtype=torch.float32).rsqrt()
        else:
            scale = (counts.clamp(min=1) * width).float().rsqrt()
        return (magnitude * scale).view(-1, 1, 1)


@dataclass(frozen=True)
class TokenSphere(StepRule):
    r"""A raw step, then a projection that scales the largest entry of each token's vector to ``max_norm``.

    ``delta_l <- max_norm * v_l / max |v_l|`` with ``v = delta + step_size * g``: SMART projects onto the sphere, not
    into the ball (Jiang et al. 2020, Algorithm 1). A vector of zeros stays zero.
    """

    norm: Norm = "none"

    def project(self, delta: Tensor) -> Tensor:
        """The point of the sphere in the direction of each token's vector."""
        return delta * (self.max_norm / delta.abs().amax(dim=-1, keepdim=True).clamp(min=_TINY))


def keep_finite(moved: Tensor, before: Tensor, gradient: Tensor) -> Tensor:
    """``moved``, but ``before`` for each sample whose gradient holds a value that is not finite."""
    finite = gradient.isfinite().flatten(1).all(1).view(-1, *[1] * (gradient.dim() - 1))
    return torch.where(finite, moved, before)
