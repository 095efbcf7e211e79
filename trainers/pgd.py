"""pgd: several ascent steps, training on the last point."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from hf_robust.training.adversary_arguments import ClimbArguments
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes


@dataclass
class PGDConfig(ClimbArguments):
    """Defaults are TextDefender's; AdaptAT takes steps of 0.04, 5 or 10 of them."""

    clean_weight: float = field(
        default=0.0, metadata={"help": "[c] weight of the loss on the clean text; above 0 costs one more pass."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("clean_weight", self.clean_weight, 0.0, None, "0 leaves the clean text out")


class PGDTrainer(RobustTrainer):
    r"""Madry et al. 2018, arXiv:1706.06083, Eq. 2.1, in embedding space (AdaptAT Eqs. 3-7).

    .. math:: \mathrm{CE}(f(e+\delta_k),y),\qquad
              \delta_t = \Pi_\epsilon\bigl(\delta_{t-1} + \alpha\, g_{t-1}/\|g_{t-1}\|\bigr)

    ``e`` and ``delta`` are (B, L, E), g the gradient of each text's own loss. k+1 forwards and k+1 backwards a step;
    the first k differentiate by delta alone and do not change accumulated gradients. By default dropout draws a new
    mask at every pass; with ``--same_dropout True`` all passes share one, the training pass too.

    Differs from AdaptAT's text: delta_k is the sum of the increments, not the last increment; steps are normalised
    and, by default, not projected, as in its Eq. 5 and its code, but not in its Eq. 3. The clean text is not trained
    on unless ``--clean_weight`` is above 0.
    """

    name = "pgd"
    family = "perturbed embeddings"
    citation = "madry2018towards"
    config = PGDConfig
    presets = ("pgd.json",)
    trains_multi_label = True
    zero_strength = {"adv_lr": 0.0, "adv_init_mag": 0.0}
    weakened_by = {"perturbation_norm": "adv_lr"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = args.adv_steps + (2 if args.clean_weight else 1)
        return Passes(count, count)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        replay = self.embedding_space.replay(inputs)
        objective = partial(self.sample_losses, labels=inputs["labels"])
        worst = self.embedding_space.worst(inputs, objective, replay=replay)
        with replay.again():
            loss, outputs = self.task_loss(model, inputs, at=worst)
        if self.args.clean_weight:
            with replay.again():
                clean, outputs = self.task_loss(model, inputs)
            self.log_parts(adversarial=loss, clean=clean)
            loss = loss + self.args.clean_weight * clean
        return (loss, outputs) if return_outputs else loss
