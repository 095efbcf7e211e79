"""adaptive_freelb: learnt weights over FreeLB's increments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from hf_robust.training.adaptive import AdaptiveArguments, AdaptiveTrainer
from hf_robust.training.base import Batch


@dataclass
class AdaptiveFreeLBConfig(AdaptiveArguments):
    """FreeLB's steps and the weights over them; beta is (k+1)/2."""


class AdaptiveFreeLBTrainer(AdaptiveTrainer):
    r"""Zhu et al., Adaptive Adversarial Training, Eqs. 9-14, over ``freelb`` (arXiv:1909.11764).

    .. math:: \min_\theta\max_{w\in\Delta_k}\ \mathrm{CE}\bigl(f(e+\delta_0+\beta\textstyle\sum_i w_i\delta_i),y\bigr)

    ``e`` and delta_i are (B, L, E), w is (k,) as in ``adaptive_pgd``; beta = (k+1)/2. With w_i = 2(k-i+1)/(k(k+1))
    (``--adaptive_init method``) the weighted point is the mean of the points 1..k, over which the paper's Eq. 9
    averages losses; the loss then equals FreeLB's to first order. With 1/k, the paper's start, it does not. k+1
    forwards and k+1 backwards a step, one more than FreeLB. The control at the same points is
    ``freelb --include_initial False``.

    Differs from ``freelb`` in the points, which are 1..k instead of 0..k-1, and from the paper as ``adaptive_pgd``
    does.
    """

    name = "adaptive_freelb"
    family = "perturbed embeddings, learnt weights"
    citation = "zhu2025adaptive"
    config = AdaptiveFreeLBConfig
    presets = ("adaptive_freelb.json",)
    zero_strength = {"adaptive_beta": 0.0, "adv_init_mag": 0.0}
    weakened_by = {"perturbation_norm": "adv_lr"}
    wraps = "freelb"
    wraps_average = True

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.weighted_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss
