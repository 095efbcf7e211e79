"""What the adaptive methods share: learnt weights over the increments of another method's ascent.

Zhu et al., "Adaptive Adversarial Training for Balancing Model Robustness and Standard Performance", Sections 4-6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hf_robust.adversary import OffsetVariable, Shift, Step, Variable, project_simplex
from hf_robust.trainers.adversary_arguments import ClimbArguments
from hf_robust.trainers.arguments import check_choice, check_range
from hf_robust.trainers.auxiliary import Auxiliary
from hf_robust.trainers.base import Batch, RobustTrainer

_CHOICES = {
    "w_param": ("simplex", "softmax", "raw"),
    "w_mode": ("max", "min"),
    "adaptive_init": ("uniform", "method"),
    "adaptive_objective": ("surrogate", "direct"),
}


@dataclass
class AdaptiveArguments(ClimbArguments):
    """Weights over the increments; the step size is the paper's."""

    adv_lr: float = field(default=0.04, metadata={"help": "[alpha] size of one ascent step."})
    adaptive_beta: float | None = field(
        default=None, metadata={"help": "[beta] size of the weighted perturbation; by default the paper's (5.3)."}
    )
    w_lr: float = field(default=0.01, metadata={"help": "Learning rate of the weights; the paper prints none."})
    w_param: str = field(
        default="simplex",
        metadata={
            "help": "How the weights stay on the simplex: by projection, as a softmax, or not at all (raw).",
            "choices": list(_CHOICES["w_param"]),
        },
    )
    w_mode: str = field(
        default="max", metadata={"help": "Ascend or descend the loss by w.", "choices": list(_CHOICES["w_mode"])}
    )
    adaptive_init: str = field(
        default="uniform",
        metadata={
            "help": "First weights: 1/k, or those that the wrapped method has.",
            "choices": list(_CHOICES["adaptive_init"]),
        },
    )
    adaptive_objective: str = field(
        default="surrogate",
        metadata={
            "help": "surrogate: Eq. 12; direct: Eq. 11, by second derivatives (eager attention).",
            "choices": list(_CHOICES["adaptive_objective"]),
        },
    )
    log_linearisation_error: bool = field(
        default=False, metadata={"help": "Log how far the loss is from its first-order approximation (Figure 4)."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adaptive_beta is not None:
            check_range("adaptive_beta", self.adaptive_beta, 0.0, None, "0 leaves the increments out")
        check_range("w_lr", self.w_lr, 0.0, None, "--w_mode min descends")
        for flag, choices in _CHOICES.items():
            check_choice(flag, getattr(self, flag), choices)


class IncrementWeights(nn.Module):
    """``w`` (k,), one for the whole training set; ``wrapped`` is the wrapped method's own auxiliary module.

    Args:
        first: (k,) the first weights, of sum one.
        parametrisation: ``simplex`` (projected after each step), ``softmax`` (of logits), ``raw``.
    """

    def __init__(self, first: Tensor, parametrisation: str, wrapped: nn.Module | None = None) -> None:
        super().__init__()
        self._parametrisation = parametrisation
        self.values = nn.Parameter(first.log() if parametrisation == "softmax" else first.clone())
        self.wrapped = wrapped

    def forward(self) -> Tensor:
        """w (k,), differentiable."""
        weights: Tensor = self.values
        if self._parametrisation == "softmax":
            weights = weights.softmax(0)
        if self._parametrisation == "simplex":
            # The same value, with the gradient along the simplex. What all weights share would be projected away after
            # a plain step; under Adam, which brings every gradient to one size, it would be all that is left.
            mean = weights.mean()
            weights = weights + (mean.detach() - mean)
        return weights

    @torch.no_grad()
    def project(self) -> None:
        """Put w back on the simplex."""
        if self._parametrisation == "simplex":
            # A handful of numbers, whose cumulative sum has no deterministic form on a GPU.
            self.values.copy_(project_simplex(self.values.cpu()))


class AdaptiveTrainer(RobustTrainer):
    """The weighted loss over the increments of a wrapped ascent; each adaptive method says which and overrides
    ``compute_loss``.

    Raises:
        ValueError: the direct objective with attention that has no second derivative, or on several ranks.
    """

    wraps_average: ClassVar[bool] = False
    """Whether the wrapped loss is a mean over points, which fixes beta and the method's own weights (5.3)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.args.adaptive_objective == "direct":
            check_direct(self)

    # ---- what is wrapped ----

    def wrapped_auxiliary(self) -> Auxiliary | None:
        """The wrapped method's auxiliary part; none by default."""
        return None

    def first_point(self, inputs: Batch) -> OffsetVariable:
        """Where the wrapped ascent starts."""
        return self.embedding_space.start(inputs)

    def after_climb(self, inputs: Batch, last: Variable) -> None:
        """What the wrapped method does with the ascent's last point."""

    # ---- weights ----

    def beta(self) -> float:
        steps = self.args.adv_steps
        if self.args.adaptive_beta is not None:
            return float(self.args.adaptive_beta)
        return (steps + 1) / 2 if self.wraps_average else float(steps)

    def used_arguments(self) -> dict[str, Any]:
        return {**super().used_arguments(), "adaptive_beta": self.beta()}

    def found_in_training(self) -> dict[str, Any]:
        if self.train_dataset is None:
            return {}
        return {"w": [round(weight, 6) for weight in self.weights().detach().tolist()]}

    def first_weights(self) -> Tensor:
        """(k,) 1/k each, not 1 (ADAPT-1), or what the wrapped mean gives: 2(k-i+1)/(k(k+1)) (ADAPT-5)."""
        steps = self.args.adv_steps
        if self.args.adaptive_init == "method" and self.wraps_average:
            falling: Tensor = torch.arange(steps, 0, -1).float() * 2 / (steps * (steps + 1))
            return falling
        return torch.full((steps,), 1 / steps)

    def auxiliary(self) -> Auxiliary:
        wrapped = self.wrapped_auxiliary()
        self.weights = IncrementWeights(self.first_weights(), self.args.w_param, wrapped.module if wrapped else None)

        def after_step() -> None:
            self.weights.project()
            if wrapped is not None and wrapped.after_step is not None:
                wrapped.after_step()

        return Auxiliary(self.weights, self.args.w_lr, maximize=self.args.w_mode == "max", after_step=after_step)

    # ---- the loss ----

    def weighted_loss(self, model: nn.Module, inputs: Batch) -> tuple[Tensor, Any]:
        """Climb as the wrapped method does, then one training pass at the weighted point (or Eq. 11's sum)."""
        direct = self.args.adaptive_objective == "direct"
        start = self.first_point(inputs)
        objective = partial(self.sample_losses, labels=inputs["labels"])
        steps = list(self.embedding_space.climb(inputs, objective, start, create_graph=direct))
        self.after_climb(inputs, steps[-1].after)
        weights, divisor = self.weights(), self.mean_divisor(inputs)
        increments = torch.stack([_increment(step) for step in steps])
        self._log_ascent(weights.detach(), increments)
        if direct:
            loss, outputs = self.task_loss(model, inputs, at=Shift(start.offset.detach(), start.mask))
            return loss + self.beta() * torch.dot(
                weights, torch.stack([_first_order(step, divisor) for step in steps])
            ), outputs
        offset = start.offset.detach() + self.beta() * torch.tensordot(weights, increments, dims=1)
        loss, outputs = self.task_loss(model, inputs, at=Shift(offset, start.mask))
        if self.args.log_linearisation_error:
            linear = steps[0].losses.sum() / divisor + self.beta() * sum(
                weight * _first_order(step, divisor) for weight, step in zip(weights.detach(), steps, strict=True)
            )
            self.log_values(linearised_loss=linear, linearisation_error=(loss.detach() - linear).abs())
        return loss, outputs

    def _log_ascent(self, weights: Tensor, increments: Tensor) -> None:
        """``increment_alignment`` is 1 where all increments point one way: then no weights change the point much."""
        sizes = torch.linalg.vector_norm(increments, dim=(2, 3)).mean(0)
        aligned = torch.linalg.vector_norm(increments.mean(0), dim=(1, 2)) / sizes.clamp(min=1e-12)
        self.log_values(
            **{f"w_{i}": weight for i, weight in enumerate(weights, start=1)},
            w_entropy=-torch.special.xlogy(weights, weights.clamp(min=1e-12)).sum(),
            increment_norm=sizes.mean(),
            increment_alignment=aligned.mean(),
        )


def _increment(step: Step) -> Tensor:
    before, after = step.before, step.after
    assert isinstance(before, OffsetVariable) and isinstance(after, OffsetVariable)
    return after.offset.detach() - before.offset.detach()


def _first_order(step: Step, divisor: float | Tensor) -> Tensor:
    """<g_i, delta_i>, the batch's sum by ``divisor``: ||delta_i||^2 / alpha for un-normalised steps (Eq. 8, ADAPT-3).

    With the climb's graph kept, delta_i too is a function of the parameters, as Eq. 11 differentiates it.
    """
    before = step.before
    assert isinstance(before, OffsetVariable)
    moved = before.moved(step.gradients)
    assert isinstance(moved, OffsetVariable)
    product = step.gradients[0].float() * (moved.offset - before.offset.detach())
    return product.sum() / divisor


def check_direct(trainer: RobustTrainer) -> None:
    """Refuse Eq. 11 where its second derivatives cannot be had."""
    attention = getattr(trainer.model.config, "_attn_implementation", "eager")
    if attention != "eager":
        raise ValueError(
            f"--adaptive_objective direct needs second derivatives, which {attention} attention has not; load the "
            "model with attn_implementation='eager', or use --adaptive_objective surrogate."
        )
    if trainer.args.world_size > 1:
        raise ValueError(
            f"--adaptive_objective direct runs on one process, got {trainer.args.world_size}; "
            "use --adaptive_objective surrogate."
        )
