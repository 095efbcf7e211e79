"""trades: keep the prediction at the worst point near the clean prediction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from hf_robust.adversary import Adversary
from hf_robust.training.adversary_arguments import ClimbArguments, require_noise
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes


@dataclass
class TRADESConfig(ClimbArguments):
    """The weight is AdaptAT's, the noise the official code's, and the steps are ours."""

    trades_lambda: float = field(
        default=0.5, metadata={"help": "[lambda] weight of the divergence; 0: the same as --robust_method normal."}
    )
    adv_init_mag: float = field(
        default=0.001, metadata={"help": "[sigma] standard deviation of the noise at which the ascent starts."}
    )
    same_dropout: bool = field(
        default=False,
        metadata={"help": "The clean pass, the ascent and the adversarial pass share their dropout masks."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("trades_lambda", self.trades_lambda, 0.0, None, "0 leaves the divergence out")
        require_noise(self.adv_init_mag)


class TRADESTrainer(RobustTrainer):
    r"""Zhang et al. 2019, arXiv:1901.08573, Eq. 5, in embedding space; AdaptAT's Table 6 writes lambda as alpha.

    .. math:: \mathrm{CE}(f(e),y) + \lambda\,\mathrm{KL}\bigl(p(e)\,\|\,p(e+\delta_k)\bigr),\qquad
              \delta_t = \Pi_\epsilon\bigl(\delta_{t-1} + \alpha\, g_{t-1}/\|g_{t-1}\|_F\bigr),\quad
              \delta_0 = \sigma\,\mathcal N(0, 1)

    ``e`` and ``delta`` are (B, L, E), g is the gradient of each text's own KL(p(e) || p(e+delta)), in this order. The
    loss has a gradient through both predictions. k+2 forwards and k+2 backwards a step: the clean pass, k ascent
    passes and the pass at delta_k; with ``trades_lambda`` 0 the clean pass only. delta starts from noise, since its
    gradient at 0 is 0.

    In the ascent p(e) is a constant, the prediction of the clean training pass: the adversary raises the same loss
    that is then minimised, for a fixed first argument. The k ascent passes run without dropout; each of the two
    training passes has dropout masks of its own, and ``--same_dropout True`` makes them share one.

    Differs from the official code: the code computes p(e) anew at each step, without dropout; it clamps pixels to
    [0, 1], a range that embeddings do not have; its l2 norm is of the whole batch, ours of each text. In AdaptAT's
    table lambda 0.5 has a lower clean accuracy than PGD, which trains on no clean text; nothing here is tuned to
    repeat that.
    """

    name = "trades"
    family = "perturbed embeddings"
    citation = "zhang2019trades"
    config = TRADESConfig
    presets = ("trades.json",)
    trains_multi_label = True
    zero_strength = {"trades_lambda": 0.0}
    weakened_by = {"loss_kl": "trades_lambda"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = args.adv_steps + 2 if args.trades_lambda else 1
        return Passes(count, count)

    def adversary(self) -> Adversary:
        adversary: Adversary = self.args.adversary(init="gauss", eval_mode=True)
        return adversary

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        replay = self.embedding_space.replay(inputs)
        with replay.again():
            loss, outputs = self.task_loss(model, inputs)
        self.log_parts(ce=loss)
        if self.args.trades_lambda:
            clean = outputs["logits"]
            worst = self.embedding_space.worst(inputs, self.divergence_from(clean.detach()), replay=replay)
            with replay.again():
                _, adversarial = self.task_loss(model, inputs, at=worst)
            divergence = self.args.trades_lambda * self.divergence_from(clean)(adversarial["logits"]).mean()
            self.log_parts(kl=divergence)
            loss = loss + divergence
        return (loss, outputs) if return_outputs else loss
