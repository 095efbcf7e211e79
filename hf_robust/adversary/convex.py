"""Points in the convex hull of each word's neighbours: a mixture of their embeddings in place of the word's own.

Weights that are not negative and sum to one.
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
    # The projection does not see a shift of all values; without this one the 1.0 below is lost beside large ones.
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
        ids: (B, L, N) token ids of the vertices, the token itself first; what stands at empty places is arbitrary.
        valid: (B, L, N) bool, True where there is a vertex; always at the first place.
        look_up: ids of any shape to embeddings with one dimension more, as the model's own layer gives them but
            without its hooks, which would perturb the neighbours too.
    """

    ids: Tensor
    valid: Tensor
    look_up: Callable[[Tensor], Tensor]

    @cached_property
    def mask(self) -> Tensor:
        """(B, L, 1) float32, 1 where a token has neighbours."""
        return (self.valid.sum(-1, keepdim=True) > 1).float()

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of the tokens with neighbours."""
        rows, columns = self.mask.squeeze(-1).nonzero(as_tuple=True)
        return rows, columns

    def mix(self, embeddings: Tensor, weights: Tensor) -> Tensor:
        """``embeddings`` (B, L, E) with the mixture by ``weights`` (B, L, N) wherever a token has neighbours.

        The others keep theirs to the bit. The vertices are looked up anew, so that a training pass's gradient
        reaches the embedding matrix through all of them.
        """
        rows, columns = self.places
        vertices = self.look_up(self.ids[rows, columns])
        # In half precision the weights would be rounded to three digits.
        with torch.autocast(embeddings.device.type, enabled=False):
            mixed = torch.bmm(weights[rows, columns].unsqueeze(1), vertices.float()).squeeze(1)
        return embeddings.index_put((rows, columns), mixed.to(embeddings.dtype))


@dataclass(frozen=True)
class ConvexWeights(Variable):
    r"""Weights over the vertices of a :class:`Hull`, the softmax of ``logits`` (B, L, N) float32.

    .. math:: e^{adv}_{bl} = \sum_j \mathrm{softmax}(w_{bl})_j\,\mathrm{Emb}(\mathrm{nbr}_j(ids_{bl}))

    Places without a vertex have weight 0, not almost 0. ``mask`` is the hull's.
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
        """(B, L, N), of sum 1 over each token's vertices; 1 for a token without neighbours."""
        return self.logits.masked_fill(~self.hull.valid, -torch.inf).softmax(-1)

    def __call__(self, embeddings: Tensor) -> Tensor:
        return self.hull.mix(embeddings, self.weights)


@dataclass(frozen=True)
class SteppedWeights(ConvexWeights):
    """DNE's variable: the logits of each token go ``rule``'s step along their gradient."""

    rule: StepRule

    def moved(self, gradients: tuple[Tensor, ...]) -> SteppedWeights:
        return replace(self, logits=self.rule(self.logits, gradients[0].float() * self.hull.valid))


@dataclass(frozen=True)
class AdamRule:
    """Adam's settings; the moments' rates are its paper's."""

    learning_rate: float
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8


@dataclass(frozen=True)
class SparseWeights(ConvexWeights):
    r"""ASCC's variable: Adam on the objective less a penalty for weights that are spread out.

    .. math:: \max_w\ J_b(w) - \alpha\,\frac{1}{n_b}\sum_l H(\mathrm{softmax}(w_{bl}))

    The ascent differentiates J alone; the entropy's gradient, :math:`-p_j(\log p_j + H)`, is added here. Adam's
    moments go from point to point. A text whose gradient is not finite keeps all three as they are.

    Args:
        rule: Adam's settings.
        entropy_weight: alpha.
        counts: (B, 1, 1) n_b, the real tokens of each text, with neighbours or not.
        first, second: (B, L, N) Adam's moments, zeros at first.
        steps: steps done.
    """

    rule: AdamRule
    entropy_weight: float
    counts: Tensor
    first: Tensor
    second: Tensor
    steps: int = 0

    @property
    def entropy(self) -> Tensor:
        """(B,) the mean of the tokens' entropies in each text, in nats."""
        total: Tensor = torch.special.entr(self.weights).sum((1, 2))
        return total / self.counts.flatten()

    def entropy_gradient(self) -> Tensor:
        """(B, L, N) of :attr:`entropy`, for the logits."""
        weights = self.weights
        terms = torch.special.entr(weights)
        gradient: Tensor = (terms - weights * terms.sum(-1, keepdim=True)) / self.counts
        return gradient

    def moved(self, gradients: tuple[Tensor, ...]) -> SparseWeights:
        rule, steps, found = self.rule, self.steps + 1, gradients[0].float()
        descent = self.entropy_weight * self.entropy_gradient() - found + rule.weight_decay * self.logits
        descent = descent * self.hull.valid
        slow, fast = rule.betas
        first = slow * self.first + (1 - slow) * descent
        second = fast * self.second + (1 - fast) * descent**2
        size = (second / (1 - fast**steps)).sqrt() + rule.epsilon
        logits = self.logits - rule.learning_rate * first / (1 - slow**steps) / size
        return replace(
            self,
            logits=keep_finite(logits, self.logits, found),
            first=keep_finite(first, self.first, found),
            second=keep_finite(second, self.second, found),
            steps=steps,
        )
