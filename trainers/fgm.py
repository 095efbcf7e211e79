"""fgm: train on the clean text and on one normalised gradient step away from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from hf_robust.adversary import Adversary, StepRule
from hf_robust.training.adversary_arguments import SpecialTokensArguments
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes


@dataclass
class FGMConfig(SpecialTokensArguments):
    """Length of the step; 1.0 is our choice for word vectors of BERT's size."""

    adv_eps: float = field(default=1.0, metadata={"help": "[eps] l2 length of a text's perturbation."})
    mean_losses: bool = field(default=False, metadata={"help": "Take the mean of the two losses, not their sum."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("adv_eps", self.adv_eps, 0.0, None, "0 trains twice on the clean text")


class FGMTrainer(RobustTrainer):
    r"""Miyato, Dai and Goodfellow 2017, arXiv:1605.07725, Section 3, with labels; the loss of AdaptAT's Table 6.

    .. math:: \mathrm{CE}(f(e),y) + \mathrm{CE}(f(e+\delta),y),\qquad
              \delta_b = \epsilon\, g_b/\|g_b\|_F,\quad g_b = \nabla_{e_b}\mathrm{CE}(f(e_b),y_b)

    ``e`` is (B, L, E), the output of the embedding look-up. The backward pass of the clean pass also gives g, so that
    a step costs two forwards and two backwards, with one graph in memory at a time.

    Differs from the paper: word vectors are not normalised first, so that a model can make them larger to weaken the
    perturbation. Their mean norm is logged beside the mean norm of the perturbation, in which the clean pass counts
    as 0. Differs from the widespread snippet: the outputs of the look-up are perturbed, each text by its own gradient,
    not the embedding matrix. AdaptAT's Eq. 2 is ``fgsm``.
    """

    name = "fgm"
    family = "perturbed embeddings"
    citation = "miyato2017adversarial"
    config = FGMConfig
    presets = ("fgm.json",)
    zero_strength = {"adv_eps": 0.0, "mean_losses": True}
    weakened_by = {"perturbation_norm": "adv_eps"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return Passes(2, 2)

    def adversary(self) -> Adversary:
        return Adversary(
            steps=2,
            rule=StepRule(self.args.adv_eps),
            passes="stream",
            special_tokens=self.args.adv_special_tokens,
        )

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        weight = 0.5 if self.args.mean_losses else 1.0
        loss, outputs = self.embedding_space.streamed(model, inputs, (weight, weight), clean_first=True)
        return (loss, outputs) if return_outputs else loss
