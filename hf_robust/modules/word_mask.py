"""VMASK's network: the importance of a word to the classifier, as the probability of keeping it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hf_robust.adversary import Noise


class WordMask(nn.Module):
    r"""Chen and Ji 2020 (VMASK): :math:`\phi = \mathrm{softmax}(W_2\tanh(W_1 h + b_1) + b_2)_1`.

    It returns the keep logit, which is the difference of the two scores; its sigmoid is phi. It computes in float32
    even under autocast, so that equal parameters give equal importances.

    If ``normalised``, h is e scaled to the norm sqrt(``width``), so that its entries are about 1. The paper's code
    reads the normalised output of its embedding block; raw word embeddings of BERT have norm 1, with which the tanh
    stays near 0 and phi near 1/2 (``benchmarks/results/flat_mask.json``). A zero vector stays zero.

    Args:
        width: width of the features e.
        hidden: rows of W_1.
        bias: initial bias of the score of keeping; 50 keeps all words.
        seed: random seed of the initial parameters; the run's random state does not change.
        table: word embeddings (V, E) that a saved model contains in folded form (multiplied by their importances). The
            state of this module contains the unfolded ones, for a resumption. None if nothing is folded.
        normalised: whether to normalise e; the output of an embedding block is already normalised.
        spread: factor on PyTorch's initial W_2. At 1 the initial importances of words differ by chance (standard
            deviation .08 to .09) as much as they should differ after training.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        bias: float,
        seed: int,
        table: nn.Parameter | None = None,
        *,
        normalised: bool = True,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.hidden = nn.Linear(width, hidden)
            self.score = nn.Linear(hidden, 2)
        with torch.no_grad():
            self.score.weight.mul_(spread)
            self.score.bias.mul_(spread)
            self.score.bias[1] += bias
        self.normalised = normalised
        # In a tuple, so that the table does not become a parameter of this module.
        self._table = () if table is None else (table,)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (..., ``width``) to (...) float32 keep logits."""
        with torch.autocast(features.device.type, enabled=False):
            read = features.float()
            if self.normalised:
                read = nn.functional.normalize(read, dim=-1) * read.shape[-1] ** 0.5
            scores = _linear(self.score, _linear(self.hidden, read).tanh())
        return scores[..., 1] - scores[..., 0]

    def get_extra_state(self) -> Tensor:
        return self._table[0].detach() if self._table else torch.empty(0)

    def set_extra_state(self, state: Tensor) -> None:
        if self._table and state.numel():
            with torch.no_grad():
                self._table[0].copy_(state)


def _linear(layer: nn.Linear, rows: Tensor) -> Tensor:
    # --bf16_full_eval casts the parameters too.
    return nn.functional.linear(rows, layer.weight.float(), layer.bias.float())


def draw(logits: Tensor, ids: Tensor, mask: Tensor, noise: Noise, temperature: float = 1.0) -> Tensor:
    """(B, L) float32 draws of 0 or 1 by the straight-through Gumbel-softmax: gradients are the relaxed draw's.

    Args:
        logits: (B, L) keep logits.
        ids, mask: (B, L) token ids, and 1 for real tokens, which determine the noise.
        noise: noise of this training step.
        temperature: temperature of the relaxation.
    """
    # The largest uniform number would round to 1, which gives an infinite Gumbel number.
    uniform = ((noise.uniform(ids, mask, 2) + 1.0) / 2.0).clamp(max=1.0 - 2.0**-24)
    gumbel = -(-uniform.log()).log()
    noisy = (logits + gumbel[..., 1] - gumbel[..., 0]) / temperature
    soft = noisy.sigmoid()
    return (noisy > 0).float() + (soft - soft.detach())


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of the keep decisions, for keep logits of any shape; finite even if phi is 0 or 1."""
    importance = logits.sigmoid()
    softplus = nn.functional.softplus
    return importance * softplus(-logits) + (1.0 - importance) * softplus(logits)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """(B,) mean of ``values`` (B, L) over the positions where ``mask`` is True; 0 if there are none."""
    return torch.where(mask, values, 0.0).sum(1) / mask.sum(1).clamp(min=1)


def importance_distance(first: Tensor, first_words: Tensor, second: Tensor, second_words: Tensor) -> Tensor:
    """(B,) sum, over the changed words, of the absolute differences of their importances in two texts.

    The importance of a word is that of its most important piece. A word that is truncated in one text does not count.

    Args:
        first, second: (B, L1) and (B, L2) importances of the tokens.
        first_words, second_words: (B, L1) and (B, L2) number, from 1, of the changed word of each token; 0 for none.
    """
    count = max(int(first_words.amax()), int(second_words.amax()))
    first_values, in_first = _by_word(first, first_words, count)
    second_values, in_second = _by_word(second, second_words, count)
    return ((first_values - second_values).abs() * (in_first & in_second)).sum(1)


def _by_word(values: Tensor, words: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(B, ``count``) the highest value of each numbered word, and whether the text contains the word."""
    highest = values.new_zeros(len(values), count + 1).scatter_reduce(1, words, values, "amax", include_self=False)
    present = torch.zeros_like(highest, dtype=torch.bool).scatter(1, words, True)
    return highest[:, 1:], present[:, 1:]
