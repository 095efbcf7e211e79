"""Settings of an adversary: its passes, its start, its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from hf_robust.adversary.noise import Noise
from hf_robust.adversary.norms import StepRule
from hf_robust.adversary.perturbation import Delta

Passes = Literal["climb", "stream", "sum"]


@dataclass(frozen=True)
class Adversary:
    """How the perturbation of a batch starts, moves and ends.

    Args:
        steps: k, the ascent steps of a climb or the passes of a stream.
        rule: step size, norm and radius.
        passes: ``climb``: separate ascent passes, then one training pass; ``stream``: each training pass is also an
            ascent step and is backpropagated at once; ``sum``: as ``stream``, but all graphs are kept to the end.
        init_mag: size of the noise at the start, 0 for none.
        init: ``uniform`` noise of :meth:`StepRule.start_scale`, or ``gauss``: ``init_mag`` times the standard normal
            in each entry.
        same_dropout: all passes over a batch share their dropout masks, including the training pass.
        eval_mode: the ascent passes of a climb run without dropout.
        special_tokens: whether special tokens such as [CLS] and [SEP] are perturbed too.
        relative: whether all sizes are multiples of the mean norm of a batch's embeddings (:func:`embedding_unit`).
    """

    steps: int
    rule: StepRule
    passes: Passes
    init_mag: float = 0.0
    init: Literal["uniform", "gauss"] = "uniform"
    same_dropout: bool = False
    eval_mode: bool = False
    special_tokens: bool = True
    relative: bool = False

    def start(self, ids: Tensor, mask: Tensor, width: int, noise: Noise) -> Delta:
        """The first perturbation of a batch: noise where ``mask`` (B, L) is 1, zeros elsewhere; (B, L, ``width``)."""
        cells = mask.float().unsqueeze(-1)
        if self.init_mag == 0:
            value = cells.new_zeros(*ids.shape, width)
        elif self.init == "gauss":
            value = noise.normal(ids, mask, width) * self.init_mag
        else:
            value = noise.uniform(ids, mask, width) * self.rule.start_scale(mask.sum(1), width, self.init_mag)
        return Delta(value * cells, cells, self.rule, self.relative)
