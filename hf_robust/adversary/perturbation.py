"""Perturbations: maps from word embeddings to perturbed embeddings, and the tensors that an ascent moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from hf_robust.adversary.norms import StepRule

if TYPE_CHECKING:
    from typing_extensions import Self


class Perturbation(ABC):
    """A point in embedding space, which a forward pass reads in place of the plain word embeddings."""

    mask: Tensor
    """(B, L, 1) float32, 1 where the adversary may perturb."""

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


@dataclass(frozen=True)
class Shift(Perturbation):
    """A fixed ``offset`` (B, L, E) that is added to the embeddings; the offset may have its own graph."""

    offset: Tensor
    mask: Tensor

    def __call__(self, embeddings: Tensor) -> Tensor:
        return embeddings + self.offset.to(embeddings.dtype)


class OffsetVariable(Variable):
    """A variable that is added to the embeddings."""

    @property
    @abstractmethod
    def offset(self) -> Tensor:
        """(B, L, E) float32, the vectors added to the embeddings."""

    def __call__(self, embeddings: Tensor) -> Tensor:
        return embeddings + self.offset.to(embeddings.dtype)


@dataclass(frozen=True)
class Delta(OffsetVariable):
    """One perturbation vector for each token: ``value`` (B, L, E) float32, moved by ``rule``."""

    value: Tensor
    mask: Tensor
    rule: StepRule

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
