"""fgm: train on the clean text and on one normalised gradient step away from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from hf_robust.adversary import Adversary, StepRule
from hf_robust.training.adversary_arguments import EmbeddingSpaceArguments
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes


@dataclass
class FGMConfig(EmbeddingSpaceArguments):
    """Length of the step; 1.0 is our choice for word vectors of BERT's size."""

    adv_lr: float = field(
        default=1.0, metadata={"help": "[eps] l2 norm of a text's perturbation, the size of the one step."}
    )
    clean_weight: float = field(default=1.0, metadata={"help": "[c] weight of the loss on the clean text."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("adv_lr", self.adv_lr, 0.0, None, "0 does not perturb")
        check_range("clean_weight", self.clean_weight, 0.0, None, "0 leaves the clean text out")


class FGMTrainer(RobustTrainer):
    r"""Miyato, Dai and Goodfellow 2017, arXiv:1605.07725, Section 3, with labels; the loss of AdaptAT's Table 6.

    .. math:: c\,\mathrm{CE}(f(e),y) + \mathrm{CE}(f(e+\delta),y),\qquad
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
    trains_multi_label = True
    zero_strength = {"adv_lr": 0.0, "clean_weight": 0.0}
    weakened_by = {"perturbation_norm": "adv_lr"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return Passes(2, 2)

    def step_rule(self) -> StepRule:
        """How the one step moves each text."""
        return StepRule(self.args.adv_lr)

    def adversary(self) -> Adversary:
        return Adversary(
            steps=1,
            rule=self.step_rule(),
            passes="stream" if self.args.clean_weight else "climb",
            special_tokens=self.args.adv_special_tokens,
            relative=self.args.adv_relative,
        )

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        space, clean_weight = self.embedding_space, self.args.clean_weight
        if clean_weight:
            loss, outputs = space.streamed(model, inputs, (clean_weight, 1.0), clean_first=True)
        else:
            worst = space.worst(inputs, partial(self.sample_losses, labels=inputs["labels"]))
            loss, outputs = self.task_loss(model, inputs, at=worst)
        return (loss, outputs) if return_outputs else loss
