"""Points in the convex hull of a word's neighbours: mixtures of their embeddings replace the word's embedding.

The mixture weights lie on the simplex: they are not negative and sum to one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hf_robust.adversary.norms import StepRule, keep_finite
from hf_robust.adversary.perturbation import Variable

if TYPE_CHECKING:
    from typing_extensions import Self


def project_simplex(values: Tensor) -> Tensor:
    """The nearest point of the simplex to ``values`` (k,), in Euclidean distance (Duchi et al. 2008, Figure 1).

    >>> import torch
    >>> project_simplex(torch.tensor([2.0, 0.0])).tolist()
    [1.0, 0.0]
    """
    # A common shift does not change the projection; without it the 1.0 below is rounded away next to large values.
    values = values - values.max()
    descending = values.sort(descending=True).values
    counts = torch.arange(1, len(values) + 1, device=values.device)
    thresholds = (descending.cumsum(0) - 1.0) / counts
    last = int((descending > thresholds).sum()) - 1
    return (values - thresholds[last]).clamp(min=0.0)


@dataclass(frozen=True)
class Hull:
    """The vertices of each token's hull.

    Args:
        ids: (B, L, N) token ids of the vertices, the token itself first; ids at empty positions are arbitrary.
        valid: (B, L, N) bool, True where there is a vertex; always True at the first position.
        look_up: maps ids of any shape to embeddings with one more dimension, by the model's own layer without its
            hooks, which would perturb the neighbours too.
    """

    ids: Tensor
    valid: Tensor
    look_up: Callable[[Tensor], Tensor]

    @cached_property
    def mask(self) -> Tensor:
        """(B, L, 1) float32, 1 where a token has neighbours."""
        return (self.valid.sum(-1, keepdim=True) > 1).float()

    @cached_property
    def positions(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of the tokens with neighbours."""
        rows, columns = self.mask.squeeze(-1).nonzero(as_tuple=True)
        return rows, columns

    def mix(self, embeddings: Tensor, weights: Tensor) -> Tensor:
        """``embeddings`` (B, L, E), with the mixture by ``weights`` (B, L, N) at each token that has neighbours.

        Embeddings of the other tokens stay bitwise the same. Each call looks up the vertices again, so that the
        gradient of a training pass reaches the embedding matrix through all of them.
        """
        rows, columns = self.positions
        vertices = self.look_up(self.ids[rows, columns])
        # Half precision would round the weights to three digits.
        with torch.autocast(embeddings.device.type, enabled=False):
            mixed = torch.bmm(weights[rows, columns].unsqueeze(1), vertices.float()).squeeze(1)
        return embeddings.index_put((rows, columns), mixed.to(embeddings.dtype))


@dataclass(frozen=True)
class ConvexWeights(Variable):
    r"""Mixture weights over the vertices of a :class:`Hull`: the softmax of ``logits`` (B, L, N) float32.

    .. math:: e^{adv}_{bl} = \sum_j \mathrm{softmax}(w_{bl})_j\,\mathrm{Emb}(\mathrm{nbr}_j(ids_{bl}))

    The weight at a position without a vertex is exactly 0. ``mask`` is the mask of the hull.
    """

    logits: Tensor
    mask: Tensor
    hull: Hull

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        return (self.logits,)

    def with_leaves(self, leaves: tuple[Tensor, ...]) -> Self:
        return replace(self, logits=leaves[0])

    @property
    def weights(self) -> Tensor:
        """(B, L, N) with sum 1 over the vertices of each token; 1 for a token without neighbours."""
        return self.logits.masked_fill(~self.hull.valid, -torch.inf).softmax(-1)

    def __call__(self, embeddings: Tensor) -> Tensor:
        return self.hull.mix(embeddings, self.weights)


@dataclass(frozen=True)
class SteppedWeights(ConvexWeights):
    """DNE's variable: ``rule`` moves the logits of each token along their gradient."""

    rule: StepRule

    def moved(self, gradients: tuple[Tensor, ...]) -> SteppedWeights:
        return replace(self, logits=self.rule(self.logits, gradients[0].float() * self.hull.valid))


@dataclass(frozen=True)
class AdamRule:
    """Settings of Adam; the decay rates of its moments are those of its paper."""

    learning_rate: float
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8


@dataclass(frozen=True)
class SparseWeights(ConvexWeights):
    r"""ASCC's variable: Adam ascends the objective minus a penalty on the entropy of the mixture weights.

    .. math:: \max_w\ J_b(w) - \alpha\,\frac{1}{n_b}\sum_l H(\mathrm{softmax}(w_{bl}))

    The ascent differentiates J alone; the gradient of the entropy, :math:`-p_j(\log p_j + H)`, is added here. Adam's
    moments pass from point to point. Where the gradient of a text is not finite, its logits and moments do not change.

    Args:
        rule: Adam's settings.
        entropy_weight: alpha.
        counts: (B, 1, 1) n_b, the number of real tokens of each text, with or without neighbours.
        first, second: (B, L, N) Adam's moments, zeros at the start.
        steps: number of steps done.
    """

    rule: AdamRule
    entropy_weight: float
    counts: Tensor
    first: Tensor
    second: Tensor
    steps: int = 0

    @property
    def entropy(self) -> Tensor:
        """(B,) mean entropy over the tokens of each text, in nats."""
        total: Tensor = torch.special.entr(self.weights).sum((1, 2))
        return total / self.counts.flatten()

    def entropy_gradient(self) -> Tensor:
        """(B, L, N) gradient of :attr:`entropy` with respect to the logits."""
        weights = self.weights
        terms = torch.special.entr(weights)
        gradient: Tensor = (terms - weights * terms.sum(-1, keepdim=True)) / self.counts
        return gradient

    def moved(self, gradients: tuple[Tensor, ...]) -> SparseWeights:
        rule, steps, gradient = self.rule, self.steps + 1, gradients[0].float()
        descent = self.entropy_weight * self.entropy_gradient() - gradient + rule.weight_decay * self.logits
        descent = descent * self.hull.valid
        slow, fast = rule.betas
        first = slow * self.first + (1 - slow) * descent
        second = fast * self.second + (1 - fast) * descent**2
        size = (second / (1 - fast**steps)).sqrt() + rule.epsilon
        logits = self.logits - rule.learning_rate * first / (1 - slow**steps) / size
        return replace(
            self,
            logits=keep_finite(logits, self.logits, gradient),
            first=keep_finite(first, self.first, gradient),
            second=keep_finite(second, self.second, gradient),
            steps=steps,
        )
