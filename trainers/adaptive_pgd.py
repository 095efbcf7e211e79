"""adaptive_pgd: learnt weights over PGD's increments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from hf_robust.training.adaptive import AdaptiveArguments, AdaptiveTrainer
from hf_robust.training.base import Batch


@dataclass
class AdaptivePGDConfig(AdaptiveArguments):
    """PGD's steps and the weights over them; beta is k."""


class AdaptivePGDTrainer(AdaptiveTrainer):
    r"""Zhu et al., Adaptive Adversarial Training, Eqs. 12-14 and Algorithm 1, over ``pgd`` (arXiv:1706.06083).

    .. math:: \min_\theta\max_{w\in\Delta_k}\ \mathrm{CE}\bigl(f(e+\delta_0+\beta\textstyle\sum_i w_i\delta_i),y\bigr)

    ``e`` and the increments delta_i of the ascent are (B, L, E), w is (k,), shared by the whole training set, 1/k at
    first; beta = k, where uniform w is PGD. k+1 forwards and backwards a step, none more than PGD: the
    ascent's own gradients of the parameters are not used. All passes have one set of dropout masks
    (``--same_dropout``), since Eq. 13 is of one network.

    w ascends by plain gradient steps, as in Algorithm 1, projected onto the simplex; the paper prints no rate
    (``--w_lr``, with the run's schedule; below 0 w descends), and w is neither clipped nor decayed. ``--w_optim adam``
    moves it in the model's own optimizer, along the simplex, where within some 200 steps one increment has all the
    weight, however small its advantage. ``--w_param raw`` starts at ones, as printed, and nothing bounds its sum,
    whose growth a warning says. Logged are w, its entropy, the increments' norm, how far they point one way
    and how far w has moved the point (``point_moved``, of its norm): below 1 % the run shows what its control with
    frozen weights, ``--w_lr 0``, shows.

    Differs from the paper: "J = Jhat" holds to first order only; ``--adaptive_objective direct`` is Eq. 11,
    with <g_i, delta_i> for ||delta_i||^2 / alpha, which is the same for raw steps and still depends on the model for
    normalised ones. Its claims and their blemishes are in benchmarks/README.md.
    """

    name = "adaptive_pgd"
    citation = "zhu2025adaptive"
    config = AdaptivePGDConfig
    weakened_by = {"perturbation_norm": "adv_lr"}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.weighted_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss
