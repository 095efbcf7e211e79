"""adaptive_tavat: learnt weights over TA-VAT's increments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from hf_robust.adversary import OffsetVariable, TokenAware, Variable
from hf_robust.modules.auxiliary import Auxiliary
from hf_robust.modules.token_table import TokenTable
from hf_robust.training.adaptive import AdaptiveArguments, AdaptiveTrainer
from hf_robust.training.adversary_arguments import TokenAwareArguments
from hf_robust.training.base import Batch


@dataclass
class AdaptiveTAVATConfig(TokenAwareArguments, AdaptiveArguments):
    """TA-VAT's table, noise and radius, the paper's step size, and the weights over the steps; beta is k."""

    adv_lr: float = field(default=0.04, metadata={"help": "[alpha] size of one ascent step."})
    same_dropout: bool = field(
        default=True, metadata={"help": "The ascent passes and the training pass share their dropout masks."}
    )


class AdaptiveTAVATTrainer(AdaptiveTrainer):
    r"""Zhu et al., Adaptive Adversarial Training, Eqs. 12-14, over ``tavat`` (arXiv:2004.14543).

    .. math:: \min_\theta\max_{w\in\Delta_k}\ \mathrm{CE}\bigl(f(e+\delta_0+\beta\textstyle\sum_i w_i\delta_i),y\bigr)

    ``e`` and delta_i are (B, L, E), w is (k,) as in ``adaptive_pgd``, beta = k. Eq. 11 needs increments along the
    gradient: delta_i is what the step adds to the next point of delta + eta
    (:meth:`hf_robust.adversary.TokenAware.gained`), not the difference of the two points, in which the scaling of
    tokens and the radius also shrink what was there before. The table of words is that of ``tavat``. k+1 forwards
    and k+1 backwards a step, one more than TA-VAT.

    Differs from the paper as ``adaptive_pgd`` and ``tavat`` do. With 1/k the weighted point is not TA-VAT's last
    point, since increments do not shrink later, and it may lie outside the radius of the wrapped ascent. A text's
    remembered perturbation starts at the noise's magnitude (``--tavat_norm magnitude``): at norm 1 (``sample``) every
    start would lie on the radius of 0.5, where the ascent can only change the direction.
    """

    name = "adaptive_tavat"
    family = "perturbed embeddings, learnt weights"
    citation = "zhu2025adaptive"
    config = AdaptiveTAVATConfig
    presets = ("adaptive_tavat.json",)
    zero_strength = {"adaptive_beta": 0.0, "adv_init_mag": 0.0, "tavat_norm": "zero"}
    weakened_by = {"perturbation_norm": "adv_lr"}
    wraps = "tavat"

    def wrapped_auxiliary(self) -> Auxiliary:
        self.table = TokenTable(self)
        return Auxiliary(self.table, after_step=self.table.write, forget=self.table.forget)

    def first_point(self, inputs: Batch) -> OffsetVariable:
        return self.table.start(self, inputs)

    def increment(self, before: OffsetVariable, gradients: tuple[Tensor, ...]) -> Tensor:
        assert isinstance(before, TokenAware)
        return before.step_offset(gradients)

    def after_climb(self, inputs: Batch, last: Variable) -> None:
        assert isinstance(last, TokenAware)
        self.table.remember(inputs, last)

    def used_arguments(self) -> dict[str, Any]:
        return {**super().used_arguments(), "tavat_token_lr": self.args.token_step}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.weighted_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss
