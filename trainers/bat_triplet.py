"""bat_triplet: keep the antonym view further from the anchor than the synonym view, by a margin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from hf_robust.losses import balanced_triplet
from hf_robust.trainers.bat_pairwise import BatConfig, BatPairwiseTrainer
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch
from hf_robust.training.contrastive_warmup import warmup_share


@dataclass
class BatTripletConfig(BatConfig):
    """Weight of the triplet term; 1 is what the released training script sets."""

    warmed_up_weights = ("bat_lambda",)

    bat_lambda: float = field(default=1.0, metadata={"help": "[lambda] weight of the triplet term."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("bat_lambda", self.bat_lambda, 0.0, None, "0 leaves the term out")


class BatTripletTrainer(BatPairwiseTrainer):
    r"""Chen, Ji and Evans 2022, arXiv:2210.11498, Section 4.1. Differs from ``bat_pairwise`` in the loss only.

    .. math:: \mathrm{CE}(f(x),y) + \lambda\frac1B\sum_b\max\bigl(0,\ p^f_b d_b^+ + p^o_b(m-d_b^-)\bigr)

    ``h`` is (B, H) and d, p^f and p^o are those of ``bat_pairwise``. If the fickle view is near the anchor, the target
    of the obstinate view is again "orthogonal or beyond": the two losses differ in when the gradient stops. Three
    forwards and three backwards a step.

    Differs from the code: both halves are masked. As in the code, the mean is over all rows, so that the effective
    lambda varies with the share of rows without an antonym view.
    """

    name = "bat_triplet"
    family = "substituted words"
    citation = "chen2022balanced"
    config = BatTripletConfig
    presets = ("bat_triplet.json",)
    zero_strength = {"bat_lambda": 0.0}
    batch_relative = False
    weakened_by = {"loss_triplet": "bat_lambda"}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        distances = self.view_distances(model, inputs)
        triplet = balanced_triplet(*distances.pairs(), self.args.bat_margin)
        self.log_parts(task=distances.loss, triplet=triplet)
        loss = distances.loss + warmup_share(self) * self.args.bat_lambda * triplet
        return (loss, distances.outputs) if return_outputs else loss
