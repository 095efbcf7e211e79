"""fgsm: train on one step along the gradient's sign."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from hf_robust.adversary import Adversary, StepRule
from hf_robust.training.adversary_arguments import SpecialTokensArguments
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes


@dataclass
class FGSMConfig(SpecialTokensArguments):
    """Size of the step in each entry; 0.01 is ours: at E = 768 it moves a token, whose norm is about 1.4, by 0.28."""

    adv_eps: float = field(default=0.01, metadata={"help": "[eps] change of each entry of a word vector."})
    fgsm_clean_weight: float = field(default=0.0, metadata={"help": "[c] weight of the loss on the clean text."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("adv_eps", self.adv_eps, 0.0, None, "0 trains on the clean text")
        check_range("fgsm_clean_weight", self.fgsm_clean_weight, 0.0, None, "0 leaves the clean text out")


class FGSMTrainer(RobustTrainer):
    r"""Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572, Section 4; AdaptAT Eq. 2.

    .. math:: \mathrm{CE}\bigl(f(e+\epsilon\,\mathrm{sign}\nabla_e\mathrm{CE}(f(e),y)),y\bigr) + c\,\mathrm{CE}(f(e),y)

    ``e`` is (B, L, E). Two forwards and two backwards a step; with c > 0 the clean pass also trains.

    Differs from the papers: AdaptAT prints no step size, and so moves each entry by 1, about twenty standard
    deviations of a BERT embedding; TaiChi does not print the weight of the clean loss, so that c is a flag.
    Unlike an l2 step, the step grows with the length of the text. Padding stays 0.
    """

    name = "fgsm"
    family = "perturbed embeddings"
    citation = "goodfellow2015explaining"
    config = FGSMConfig
    presets = ("fgsm.json",)
    zero_strength = {"adv_eps": 0.0}
    weakened_by = {"perturbation_norm": "adv_eps"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return Passes(2, 2)

    def adversary(self) -> Adversary:
        return Adversary(
            steps=1,
            rule=StepRule(self.args.adv_eps, norm="sign"),
            passes="stream" if self.args.fgsm_clean_weight else "climb",
            special_tokens=self.args.adv_special_tokens,
        )

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        space, clean_weight = self.embedding_space, self.args.fgsm_clean_weight
        if clean_weight:
            loss, outputs = space.streamed(model, inputs, (clean_weight, 1.0), clean_first=True)
        else:
            worst = space.worst(inputs, partial(self.sample_losses, labels=inputs["labels"]))
            loss, outputs = self.task_loss(model, inputs, at=worst)
        return (loss, outputs) if return_outputs else loss
