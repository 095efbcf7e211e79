"""smart: keep the prediction stable around each text and, optionally, near that of an averaged model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import Adversary, DropoutReplay, StepRule, TokenSphere, Variable
from hf_robust.losses import sample_symmetric_kl, symmetric_kl
from hf_robust.modules.auxiliary import Auxiliary
from hf_robust.modules.teacher import AverageWeights
from hf_robust.training.adversary_arguments import StepArguments, require_noise
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.follow import FollowArguments, Reading
from hf_robust.training.step_passes import Passes

READINGS = {"adv_lr": Reading(0.1, 1e-5), "adv_max_norm": Reading(1e-3, 1.0), "same_dropout": Reading(True, False)}


@dataclass
class SMARTConfig(FollowArguments, StepArguments):
    """Defaults are the paper's algorithm with a radius at which it has an effect (:class:`SMARTTrainer`)."""

    code_weights = ("smart_lambda",)
    code_reading = (
        "namisan/mt-dnn: each token's vector is divided by its largest entry in place of a ball, and the targets of "
        "the term are constants"
    )

    adv_steps: int = field(default=1, metadata={"help": "[T_x] number of ascent steps."})
    adv_lr: float | None = field(  # type: ignore[assignment]
        default=None, metadata={"help": f"[eta] size of one ascent step. {READINGS['adv_lr'].words}"}
    )
    adv_init_mag: float = field(
        default=1e-5, metadata={"help": "[sigma] standard deviation of the noise at which the ascent starts."}
    )
    same_dropout: bool | None = field(  # type: ignore[assignment]
        default=None,
        metadata={
            "help": "All passes over a batch share their dropout masks, so that the smoothness term measures only "
            f"the perturbation. {READINGS['same_dropout'].words}"
        },
    )
    adv_max_norm: float | None = field(
        default=None,
        metadata={
            "help": "[eps] radius: largest entry of the perturbation; 1e-5 in the paper. "
            f"{READINGS['adv_max_norm'].words}"
        },
    )
    smart_lambda: float = field(
        default=1.0, metadata={"help": "[lambda_s] weight of the smoothness term; 1, 3 or 5 in the paper."}
    )
    smart_mu: float = field(
        default=0.0,
        metadata={
            "help": "[mu] weight of the distance from a moving average of the model, 1 in the paper; above 0 costs "
            "one more pass."
        },
    )

    @staticmethod
    def readings() -> Mapping[str, Reading]:
        return READINGS

    def __post_init__(self) -> None:
        super().__post_init__()
        require_noise(self.adv_init_mag)
        assert self.adv_max_norm is not None
        if self.adv_max_norm <= 0:
            raise ValueError(
                f"--adv_max_norm must be above 0, got {self.adv_max_norm:g}; 1e-5 is the paper's, 1.0 the code's, and "
                "--smart_lambda 0 leaves the term out."
            )
        check_range("smart_lambda", self.smart_lambda, 0.0, None, "0 leaves the smoothness term out")
        check_range("smart_mu", self.smart_mu, 0.0, None, "0 leaves the averaged model out")


class SMARTTrainer(RobustTrainer):
    r"""Jiang et al. 2020, arXiv:1911.03437, Eqs. 1-3 and Algorithm 1.

    .. math:: \mathrm{CE}(f(e),y) + \lambda_s\,\mathrm{symKL}\bigl(p(e), p(e+\delta_k)\bigr)
              + \mu\,\mathrm{symKL}\bigl(p_\theta(e), p_{\tilde\theta}(e)\bigr),\qquad
              \delta_t = \Pi_{\lVert\delta\rVert_\infty\le\epsilon}\Bigl(\delta_{t-1} +
              \eta\,\frac{g_{t-1}}{\lVert g_{t-1}\rVert_\infty}\Bigr),\quad
              \delta_0 = \sigma\,\mathcal N(0, 1)

    ``e`` and ``delta`` are (B, L, E); g is the gradient of each text's own symKL, divided by its largest entry in the
    text. The clean prediction is that of the training pass. k+2 forwards and k+2 backwards a step, with one more
    forward if ``smart_mu`` is above 0; with ``smart_lambda`` 0 the ascent and the pass at its end are left out.
    The averaged model (:class:`AverageWeights`) predicts without dropout, as at inference; its term is therefore above
    0 even for equal weights if the trained model has dropout.

    The radius: at the paper's constants (eps 1e-5, eta 1e-3) the term is numerically almost 0: 6e-6 on a BERT-tiny
    that has begun to learn SST-2, where two draws of dropout differ by 0.05. The defaults are these constants times
    100, which keeps their ratio; the term is then 0.06, and random signs of that size give 6e-5
    (``benchmarks/results/smart_radius.json``). ``--adv_max_norm 1e-5 --adv_lr 1e-3`` are the paper's. All passes share
    their dropout masks by default: with new masks in each pass, the term at the paper's constants would measure
    dropout. The log has the term at the start of the ascent and at its end: ``smoothness_start`` and
    ``loss_smoothness``.

    ``--follow code`` is namisan/mt-dnn: instead of dividing the gradient and projecting into a ball, each token's
    vector is divided by its largest entry (:class:`TokenSphere`), at constants under which that entry is about 1, 20
    times the spread of a BERT's embeddings; dropout is drawn for each pass; targets are constants in the loss, so that
    a KL changes its second argument only. The normalisation is exact here (0.91 to 0.96 of the radius there). At noise
    of 1e-5 the gradient is about as small, so that the step changes nothing except through the passes' dropout.
    Differs from that code: the ascent climbs each text's own exact symKL, not ``stable_kl``; the loss is the mean over
    texts.
    """

    name = "smart"
    family = "perturbed embeddings"
    citation = "jiang2020smart"
    config = SMARTConfig
    presets = ("smart.json", "smart_code.json")
    trains_multi_label = True
    zero_strength = {"smart_lambda": 0.0}
    weakened_by = {"loss_smoothness": "smart_lambda", "loss_bregman": "smart_mu"}

    # The paper's decay of the averaged model (beta of Eq. 3): in the first share of the steps, and after it.
    early_share, early_decay, decay = 0.1, 0.99, 0.999

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = args.adv_steps + 2 if args.smart_lambda else 1
        return Passes(count + bool(args.smart_mu), count)

    def adversary(self) -> Adversary:
        args, rate, radius = self.args, float(self.args.adv_lr), float(self.args.adv_max_norm)
        return Adversary(
            steps=args.adv_steps,
            rule=TokenSphere(rate, radius) if args.follow_code else StepRule(rate, radius, "linf"),
            passes="climb",
            init_mag=args.adv_init_mag,
            init="gauss",
            same_dropout=args.same_dropout,
            special_tokens=args.adv_special_tokens,
            relative=args.adv_relative,
        )

    def auxiliary(self) -> Auxiliary | None:
        if not self.args.smart_mu:
            return None
        self.teacher = AverageWeights(self.model)
        return Auxiliary(self.teacher, after_step=self._move_teacher)

    def _move_teacher(self) -> None:
        early = self.state.global_step <= self.early_share * self.state.max_steps
        self.teacher.update(self.model, self.early_decay if early else self.decay)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        replay = self.embedding_space.replay(inputs)
        with replay.again():
            loss, outputs = self.task_loss(model, inputs)
        parts = {"ce": loss}
        if self.args.smart_lambda:
            worst = self._climbed(inputs, outputs["logits"].detach(), replay)
            with replay.again():
                _, adversarial = self.task_loss(model, inputs, at=worst)
            parts["smoothness"] = self.args.smart_lambda * self._distance(outputs, adversarial["logits"])
        if self.args.smart_mu:
            teacher = self.teacher.logits(self.model, inputs)
            parts["bregman"] = self.args.smart_mu * self._distance(outputs, teacher)
        self.log_parts(**parts)
        loss = torch.stack(list(parts.values())).sum()
        return (loss, outputs) if return_outputs else loss

    def _climbed(self, inputs: Batch, clean: Tensor, replay: DropoutReplay) -> Variable:
        """The last point of the ascent. Logs the term at its first point as ``smoothness_start``: this is how much
        two draws of dropout differ, and about 0 if the passes share their masks."""
        divergence = partial(sample_symmetric_kl, clean, multi_label=self.multi_label)
        steps = list(self.embedding_space.climb(inputs, divergence, replay=replay))
        self.log_values(smoothness_start=self.args.smart_lambda * steps[0].losses.detach().mean())
        return steps[-1].after

    def _distance(self, outputs: Any, logits: Tensor) -> Tensor:
        return symmetric_kl(outputs["logits"], logits, self.args.follow_code, self.multi_label)
