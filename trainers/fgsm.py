"""fgsm: train on one step along the gradient's sign."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_robust.adversary import StepRule
from hf_robust.trainers.fgm import FGMConfig, FGMTrainer


@dataclass
class FGSMConfig(FGMConfig):
    """Size of the step in each entry; 0.01 is ours: at E = 768 it moves a token, whose norm is about 1.4, by 0.28."""

    adv_lr: float = field(
        default=0.01, metadata={"help": "[eps] change of each entry of a word vector, the size of the one step."}
    )
    clean_weight: float = field(default=0.0, metadata={"help": "[c] weight of the loss on the clean text."})


class FGSMTrainer(FGMTrainer):
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
    zero_strength = {"adv_lr": 0.0}
    weakened_by = {"perturbation_norm": "adv_lr"}

    def step_rule(self) -> StepRule:
        return StepRule(self.args.adv_lr, norm="sign")
