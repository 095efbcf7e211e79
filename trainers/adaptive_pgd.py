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

    ``e`` and the increments delta_i of the ascent are (B, L, E). w is (k,), shared by the whole training set, and 1/k
    at first; with beta = k a uniform w is PGD. k+1 forwards and k+1 backwards a step, as for PGD: the ascent's
    gradients of the parameters are not used. All passes share their dropout masks (``--same_dropout``), since Eq. 13
    is about one network.

    w ascends by plain gradient steps, as in Algorithm 1, projected onto the simplex. The paper prints no learning rate
    (``--w_lr``, with the run's schedule; below 0, w descends); w is neither clipped nor decayed. ``--w_optim adam``
    moves w by the model's optimizer, along the simplex; within about 200 steps one increment then has all the weight,
    however small its advantage. ``--w_param raw`` starts at ones, as printed; nothing bounds its sum, and a warning
    says if it grows. The log has w, its entropy, the increments' norm and alignment, and how far w has moved the point
    (``point_moved``, relative to its norm): below 1 % the run shows the same as its control with frozen weights,
    ``--w_lr 0``.

    Differs from the paper: "J = Jhat" holds to first order only; ``--adaptive_objective direct`` is Eq. 11, with
    <g_i, delta_i> for ||delta_i||^2 / alpha, which is the same for raw steps and still depends on the model for
    normalised steps. benchmarks/notes.md has the paper's claims and what is wrong with them.
    """

    name = "adaptive_pgd"
    family = "perturbed embeddings, learnt weights"
    citation = "zhu2025adaptive"
    config = AdaptivePGDConfig
    presets = ("adaptive_pgd.json",)
    zero_strength = {"adaptive_beta": 0.0, "adv_init_mag": 0.0}
    weakened_by = {"perturbation_norm": "adv_lr"}
    wraps = "pgd"

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.weighted_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss
