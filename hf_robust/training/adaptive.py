"""Base class and flags of the adaptive methods: learnt weights over the increments of another method's ascent.

Zhu et al., "Adaptive Adversarial Training for Balancing Model Robustness and Standard Performance", Sections 4-6.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hf_robust.adversary import OffsetVariable, Shift, Step, Variable, sample_norm
from hf_robust.modules.auxiliary import Auxiliary
from hf_robust.modules.increment_weights import IncrementWeights
from hf_robust.training.adversary_arguments import ClimbArguments
from hf_robust.training.arguments import check_choice, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes

logger = logging.getLogger(__name__)

GROWTH_WARNED = 1.1
"""Factor of growth of the sum of the raw increment weights above which a warning appears."""
_CHOICES = {
    "w_param": ("simplex", "softmax", "raw"),
    "w_optim": ("sgd", "adam"),
    "adaptive_init": ("uniform", "ones", "method"),
    "adaptive_objective": ("surrogate", "direct"),
}


@dataclass
class AdaptiveArguments(ClimbArguments):
    """Flags of the increment weights; the step size is the paper's."""

    adv_lr: float = field(default=0.04, metadata={"help": "[alpha] size of one ascent step."})
    adaptive_beta: float | None = field(
        default=None,
        metadata={
            "help": "[beta] size of the weighted perturbation. Default: k; (k+1)/2 for adaptive_freelb (Section 5.3)."
        },
    )
    same_dropout: bool = field(
        default=True, metadata={"help": "The ascent passes and the training pass share their dropout masks."}
    )
    w_lr: float = field(
        default=0.01,
        metadata={
            "help": "Learning rate of w, the weights of the increments, which ascend the loss; below 0 they descend "
            "it, at 0 they keep their first values (the control). The paper prints no rate."
        },
    )
    w_optim: str = field(
        default="sgd",
        metadata={
            "help": "Optimizer of w. sgd: plain gradient steps, as in the paper's algorithm; adam: the model's own "
            "optimizer, which scales every gradient to one size.",
            "choices": list(_CHOICES["w_optim"]),
        },
    )
    w_param: str = field(
        default="simplex",
        metadata={
            "help": "How w stays on the simplex. simplex: by projection; softmax: as a softmax; raw: not at all (it "
            "starts at ones, with a perturbation k times as large).",
            "choices": list(_CHOICES["w_param"]),
        },
    )
    adaptive_init: str | None = field(
        default=None,
        metadata={
            "help": "First values of w. uniform: 1/k each; ones: 1 each (with --w_param raw only); method: those of "
            "the wrapped method. Default: uniform, and ones with --w_param raw.",
            "choices": list(_CHOICES["adaptive_init"]),
        },
    )
    adaptive_objective: str = field(
        default="surrogate",
        metadata={
            "help": "Training objective. surrogate: Eq. 12; direct: Eq. 11, by second derivatives (needs eager "
            "attention).",
            "choices": list(_CHOICES["adaptive_objective"]),
        },
    )
    log_linearisation_error: bool = field(
        default=False,
        metadata={
            "help": "Log, in each step, the clean loss and the distance of the loss from its first-order "
            "approximation; costs one more forward pass."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adaptive_beta is not None:
            check_range("adaptive_beta", self.adaptive_beta, 0.0, None, "0 leaves the increments out")
        if self.adaptive_init is None:
            self.adaptive_init = "ones" if self.w_param == "raw" else "uniform"
        for flag, choices in _CHOICES.items():
            check_choice(flag, getattr(self, flag), choices)
        if self.adaptive_init == "ones" and self.w_param != "raw":
            raise ValueError(
                f"--adaptive_init ones has a sum of k, and --w_param {self.w_param} keeps it at 1; use --w_param raw, "
                "or --adaptive_init uniform."
            )


class AdaptiveTrainer(RobustTrainer):
    """Base of the adaptive methods: the loss at the weighted sum of the increments of a wrapped method's ascent.

    An adaptive method defines the wrapped ascent and overrides ``compute_loss``.

    Raises:
        ValueError: the objective is direct, and the attention has no second derivative or there are several ranks.
    """

    wraps: ClassVar[str]
    """Name of the method whose ascent is wrapped."""
    trains_multi_label = True
    wraps_average: ClassVar[bool] = False
    """Whether the wrapped loss is a mean over points, which determines beta and its own increment weights (5.3)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._growth_warned = False
        super().__init__(*args, **kwargs)
        self.loss_increase.every_step = self.args.log_linearisation_error
        if self.args.adaptive_objective == "direct":
            check_direct_objective(self)

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = args.adv_steps + 1
        return Passes(count, count + (args.adv_steps if args.adaptive_objective == "direct" else 0))

    # ---- what is wrapped ----

    def wrapped_auxiliary(self) -> Auxiliary | None:
        """The auxiliary module of the wrapped method; none by default."""
        return None

    def first_point(self, inputs: Batch) -> OffsetVariable:
        """The first point of the wrapped ascent."""
        return self.embedding_space.start(inputs)

    def after_climb(self, inputs: Batch, last: Variable) -> None:
        """Hook of the wrapped method for the last point of the ascent."""

    def increment(self, before: OffsetVariable, gradients: tuple[Tensor, ...]) -> Tensor:
        """delta_i (B, L, E): the move of a step along its gradients, as a function of them."""
        return before.moved(gradients).offset - before.offset

    # ---- increment weights ----

    def beta(self) -> float:
        """Size of the weighted perturbation: ``--adaptive_beta``, or the paper's value (5.3)."""
        steps = self.args.adv_steps
        if self.args.adaptive_beta is not None:
            return float(self.args.adaptive_beta)
        return (steps + 1) / 2 if self.wraps_average else float(steps)

    def used_arguments(self) -> dict[str, Any]:
        return {**super().used_arguments(), "adaptive_beta": self.beta()}

    def measured_in_training(self) -> dict[str, Any]:
        if self.train_dataset is None:
            return {}
        w = [round(weight, 6) for weight in self.increment_weights().detach().tolist()]
        moved = [entry["point_moved"] for entry in self.state.log_history if "point_moved" in entry]
        return {**super().measured_in_training(), "w": w, **({"point_moved": round(max(moved), 6)} if moved else {})}

    def first_increment_weights(self) -> Tensor:
        """(k,) initial values: 1/k each, ones, or those of the wrapped mean, 2(k-i+1)/(k(k+1))."""
        steps = self.args.adv_steps
        if self.args.adaptive_init == "ones":
            return torch.ones(steps)
        if self.args.adaptive_init == "method" and self.wraps_average:
            falling: Tensor = torch.arange(steps, 0, -1).float() * 2 / (steps * (steps + 1))
            return falling
        return torch.full((steps,), 1 / steps)

    def auxiliary(self) -> Auxiliary:
        wrapped = self.wrapped_auxiliary()
        self.increment_weights = IncrementWeights(
            self.first_increment_weights(), self.args.w_param, wrapped.module if wrapped else None
        )

        def after_step() -> None:
            self.increment_weights.project()
            if self.args.w_param == "raw":
                self._warn_growth()
            if wrapped is not None and wrapped.after_step is not None:
                wrapped.after_step()

        return Auxiliary(
            self.increment_weights,
            abs(self.args.w_lr),
            maximize=self.args.w_lr >= 0,
            after_step=after_step,
            forget=wrapped.forget if wrapped else None,
            plain_steps=self.args.w_optim == "sgd",
        )

    def _warn_growth(self) -> None:
        """Warn once if the raw weights, and with them the perturbation, have grown."""
        first, current = float(self.increment_weights.first.sum()), float(self.increment_weights.values.detach().sum())
        if self._growth_warned or current <= GROWTH_WARNED * first or not self.is_world_process_zero():
            return
        self._growth_warned = True
        logger.warning(
            "The sum of the increment weights w grew from %.3g to %.3g by step %d, and with it the perturbation, "
            "which --w_param raw does not bound: watch perturbation_norm and loss_increase in the log; use --w_param "
            "simplex, or lower --w_lr or --adaptive_beta.",
            first,
            current,
            self.state.global_step,
        )

    # ---- the loss ----

    def weighted_loss(self, model: nn.Module, inputs: Batch) -> tuple[Tensor, Any]:
        """Run the wrapped ascent, then one training pass at the weighted point (or the sum of Eq. 11).

        All passes share their dropout masks: Eq. 13 holds only if the increments are first-order terms of the same
        network that the training pass evaluates at the weighted point.
        """
        direct = self.args.adaptive_objective == "direct"
        start, replay = self.first_point(inputs), self.embedding_space.replay(inputs)
        objective = partial(self.sample_losses, labels=inputs["labels"])
        steps = list(self.embedding_space.climb(inputs, objective, start, create_graph=direct, replay=replay))
        self.after_climb(inputs, steps[-1].after)
        weights, divisor, beta = self.increment_weights(), self.mean_divisor(inputs), self.beta()
        increments = torch.stack([self._increment(step).detach() for step in steps])
        first = start.offset.detach()
        self._log_ascent(weights.detach(), increments, first)
        with replay.again():
            if direct:
                # The sum of Eq. 11 is not the loss at a point, so that no loss increase can be measured.
                with self.loss_increase.paused():
                    loss, outputs = self.task_loss(model, inputs, at=Shift(first, start.mask, start.relative))
                return loss + beta * torch.dot(weights, self._slopes(steps, divisor)), outputs
            offset = first + beta * torch.tensordot(weights, increments, dims=1)
            loss, outputs = self.task_loss(model, inputs, at=Shift(offset, start.mask, start.relative))
        if self.args.log_linearisation_error:
            linear = steps[0].losses.sum() / divisor
            linear = linear + beta * torch.dot(weights.detach(), self._slopes(steps, divisor))
            self.log_values(linearised_loss=linear, linearisation_error=(loss.detach() - linear).abs())
        return loss, outputs

    def _increment(self, step: Step) -> Tensor:
        """delta_i; if the climb kept its graph, a function of the parameters, which Eq. 11 differentiates."""
        before = step.before.detached()
        assert isinstance(before, OffsetVariable)
        return self.increment(before, step.gradients)

    def _slopes(self, steps: Sequence[Step], divisor: float | Tensor) -> Tensor:
        """(k,) <g_i, delta_i>, summed over the batch, by ``divisor``; ||delta_i||^2 / alpha for raw gradient steps."""
        products = [(step.gradients[0].float() * self._increment(step)).sum() for step in steps]
        return torch.stack(products) / divisor

    def _log_ascent(self, weights: Tensor, increments: Tensor, start: Tensor) -> None:
        """Log the increment weights and sizes.

        ``increment_alignment`` is 1 if all increments have the same direction: then the weights change the point
        little. ``point_moved`` is the distance between the points of the learnt and of the initial weights, relative
        to the norm of the latter. With ``--adv_relative`` the size ``increment_norm`` is relative too.
        """
        sizes = torch.linalg.vector_norm(increments, dim=(2, 3)).mean(0)
        aligned = torch.linalg.vector_norm(increments.mean(0), dim=(1, 2)) / sizes.clamp(min=1e-12)
        learnt, first = (
            start + self.beta() * torch.tensordot(w.to(increments), increments, dims=1)
            for w in (weights, self.increment_weights.first)
        )
        self.log_values(
            **{f"w_{i}": weight for i, weight in enumerate(weights, start=1)},
            w_entropy=-torch.special.xlogy(weights, weights.clamp(min=1e-12)).sum(),
            increment_norm=sizes.mean(),
            increment_alignment=aligned.mean(),
            point_moved=(sample_norm(learnt - first) / sample_norm(first).clamp(min=1e-12)).mean(),
        )


def check_direct_objective(trainer: RobustTrainer) -> None:
    """Refuse Eq. 11 if its second derivatives are not available."""
    attention = getattr(trainer.model.config, "_attn_implementation", "eager")
    if attention != "eager":
        raise ValueError(
            f"--adaptive_objective direct needs second derivatives, which {attention} attention does not have; use "
            "--attn_implementation eager, or --adaptive_objective surrogate."
        )
    if trainer.args.world_size > 1:
        raise ValueError(
            f"--adaptive_objective direct runs on one process, got {trainer.args.world_size}; "
            "use --adaptive_objective surrogate."
        )
