"""Perturbations: maps from word embeddings to perturbed embeddings, and the tensors that an ascent moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from hf_robust.adversary.norms import StepRule, token_norm

if TYPE_CHECKING:
    from typing_extensions import Self


class Perturbation(ABC):
    """A point in embedding space, which a forward pass reads in place of the plain word embeddings."""

    mask: Tensor
    """(B, L, 1) float32, 1 where the adversary may perturb."""
    relative: bool = False
    """Whether offsets and all sizes are in units of :func:`embedding_unit`; else they are absolute."""

    @abstractmethod
    def __call__(self, embeddings: Tensor) -> Tensor:
        """The perturbed output of the embedding look-up, (B, L, E) to (B, L, E)."""


class Variable(Perturbation):
    """A point that an ascent can move. It is immutable: a move returns the next point."""

    @property
    @abstractmethod
    def leaves(self) -> tuple[Tensor, ...]:
        """The tensors with respect to which the loss is differentiated."""

    @abstractmethod
    def with_leaves(self, leaves: tuple[Tensor, ...]) -> Self:
        """This point with other tensors."""

    @abstractmethod
    def moved(self, gradients: tuple[Tensor, ...]) -> Self:
        """The next point, given the gradient of the summed per-sample losses for each leaf."""

    def attached(self) -> Self:
        """The same point, without its graph, with leaves that require gradients."""
        return self.with_leaves(tuple(leaf.detach().requires_grad_() for leaf in self.leaves))

    def detached(self) -> Self:
        """The same point as a constant."""
        return self.with_leaves(tuple(leaf.detach() for leaf in self.leaves))


def embedding_unit(embeddings: Tensor, mask: Tensor) -> Tensor:
    r"""The unit of relative sizes: the mean norm of the embeddings of the tokens that may be perturbed.

    .. math:: u = \frac{\sum_{bl} m_{bl}\,\|e_{bl}\|_2}{\sum_{bl} m_{bl}}

    Args:
        embeddings: (B, L, E), the output of the look-up before it is perturbed; no gradient flows into it.
        mask: (B, L, 1), 1 for these tokens, so that padding changes nothing.

    Returns:
        A scalar in float32; 0 if no token may be perturbed.
    """
    unit: Tensor = (token_norm(embeddings.detach()) * mask).sum() / mask.sum().clamp(min=1)
    return unit


def shifted(embeddings: Tensor, offset: Tensor, mask: Tensor, relative: bool) -> Tensor:
    """``embeddings`` plus ``offset``, both (B, L, E), added in float32 and returned in the embeddings' type.

    With ``relative`` the offset is in units of :func:`embedding_unit` of these embeddings.
    """
    added = offset * embedding_unit(embeddings, mask) if relative else offset
    return (embeddings + added).to(embeddings.dtype)


@dataclass(frozen=True)
class Shift(Perturbation):
    """A fixed ``offset`` (B, L, E) that is added to the embeddings; the offset may have its own graph."""

    offset: Tensor
    mask: Tensor
    relative: bool = False

    def __call__(self, embeddings: Tensor) -> Tensor:
        return shifted(embeddings, self.offset, self.mask, self.relative)


class OffsetVariable(Variable):
    """A variable that is added to the embeddings."""

    @property
    @abstractmethod
    def offset(self) -> Tensor:
        """(B, L, E) float32, the vectors added to the embeddings, or multiples of their unit if it is relative."""

    def __call__(self, embeddings: Tensor) -> Tensor:
        return shifted(embeddings, self.offset, self.mask, self.relative)


@dataclass(frozen=True)
class Delta(OffsetVariable):
    """One perturbation vector for each token: ``value`` (B, L, E) float32, moved by ``rule``.

    A relative one is the same ascent in another variable: the gradient by ``value`` is the gradient by the embeddings
    times their unit, so that a model with larger embeddings gets larger perturbations under every rule.
    """

    value: Tensor
    mask: Tensor
    rule: StepRule
    relative: bool = False

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        return (self.value,)

    def with_leaves(self, leaves: tuple[Tensor, ...]) -> Delta:
        return replace(self, value=leaves[0])

    @property
    def offset(self) -> Tensor:
        return self.value

    def moved(self, gradients: tuple[Tensor, ...]) -> Delta:
        return replace(self, value=self.rule(self.value, gradients[0].float() * self.mask))
