"""VMASK's network: how important a word is to the classifier, as the probability of keeping it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hf_robust.adversary import Noise


class WordMask(nn.Module):
    r"""Chen and Ji 2020 (VMASK): :math:`\phi = \mathrm{softmax}(W_2\tanh(W_1 h + b_1) + b_2)_1`.

    What it returns is the keep logit, the difference of the two scores, whose sigmoid is phi. It computes in float32
    under any autocast, so that equal weights give equal importances.

    h is e scaled to the norm sqrt(``width``), so that its entries are about 1, where ``normalised``. The paper's code
    reads what its embedding block has normalised; raw word embeddings of BERT have the norm 1, with which the tanh
    stays near 0 and phi near 1/2 (``benchmarks/results/flat_mask.json``). A vector of zeros stays one.

    Args:
        width: of the features e that it reads.
        hidden: rows of W_1.
        bias: added to the score of keeping when training starts; 50 keeps every word.
        seed: of the first weights; the run's own random state is left as it is.
        table: the word embeddings (V, E) that a saved model holds folded (multiplied by their importances). They are
            part of this module's state, from which a resumed run gets them back as they were. None where nothing is
            folded.
        normalised: bring e to one norm; what comes out of an embedding block has been.
        spread: what W_2 starts from, as a share of PyTorch's own first weights. At 1 the first importances of words
            differ by chance (standard deviation .08 to .09) as much as they should by what the words do.
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
        # In a tuple, so that it stays the classifier's parameter alone.
        self._table = () if table is None else (table,)

    def forward(self, features: Tensor) -> Tensor:
        """(..., ``width``) to (...) float32 keep logits."""
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
    # --bf16_full_eval casts the weights too.
    return nn.functional.linear(rows, layer.weight.float(), layer.bias.float())


def draw(logits: Tensor, ids: Tensor, mask: Tensor, noise: Noise, temperature: float = 1.0) -> Tensor:
    """(B, L) float32 draws of 0 or 1 by the straight-through Gumbel-softmax: gradients are the relaxed draw's.

    Args:
        logits: (B, L) keep logits.
        ids, mask: (B, L) token ids, and 1 for real tokens: what the noise belongs to.
        noise: of this training step.
        temperature: of the relaxation.
    """
    # The largest uniform number would round to 1, whose Gumbel number is infinite.
    uniform = ((noise.uniform(ids, mask, 2) + 1.0) / 2.0).clamp(max=1.0 - 2.0**-24)
    gumbel = -(-uniform.log()).log()
    noisy = (logits + gumbel[..., 1] - gumbel[..., 0]) / temperature
    soft = noisy.sigmoid()
    return (noisy > 0).float() + (soft - soft.detach())


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of keeping each word, of keep logits of any shape; finite where phi is 0 or 1."""
    importance = logits.sigmoid()
    softplus = nn.functional.softplus
    return importance * softplus(-logits) + (1.0 - importance) * softplus(logits)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """(B, L) to (B,): the mean over the places that ``mask`` names, 0 where it names none."""
    return torch.where(mask, values, 0.0).sum(1) / mask.sum(1).clamp(min=1)


def importance_distance(first: Tensor, first_words: Tensor, second: Tensor, second_words: Tensor) -> Tensor:
    """(B,) sum over the changed words of how far their importances in two texts are apart.

    A word is as important as its most important piece. A word that truncation cut off from one text has no distance.

    Args:
        first, second: (B, L1) and (B, L2) importances of the tokens.
        first_words, second_words: of each token the number (from 1) of the changed word it belongs to, 0 for none.
    """
    most = max(int(first_words.amax()), int(second_words.amax()))
    one, has_one = _by_word(first, first_words, most)
    other, has_other = _by_word(second, second_words, most)
    return ((one - other).abs() * (has_one & has_other)).sum(1)


def _by_word(values: Tensor, words: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """(B, ``most``) the highest value of each numbered word, and whether the text has it."""
    found = values.new_zeros(len(values), most + 1).scatter_reduce(1, words, values, "amax", include_self=False)
    held = torch.zeros_like(found, dtype=torch.bool).scatter(1, words, True)
    return found[:, 1:], held[:, 1:]
