"""Flags of the adaptive methods: the weights over an adversary's increments, spelt the same for all three."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_robust.training.adversary_arguments import ClimbArguments
from hf_robust.training.arguments import check_choice, check_range

_CHOICES = {
    "w_param": ("simplex", "softmax", "raw"),
    "w_optim": ("sgd", "adam"),
    "w_mode": ("max", "min"),
    "adaptive_init": ("uniform", "ones", "method"),
    "adaptive_objective": ("surrogate", "direct"),
}


@dataclass
class AdaptiveArguments(ClimbArguments):
    """Weights over the increments; the step size is the paper's."""

    adv_lr: float = field(default=0.04, metadata={"help": "[alpha] size of one ascent step."})
    adaptive_beta: float | None = field(
        default=None, metadata={"help": "[beta] size of the weighted perturbation; by default the paper's (5.3)."}
    )
    same_dropout: bool = field(
        default=True, metadata={"help": "The ascent passes and the training pass share their dropout masks."}
    )
    w_lr: float = field(
        default=0.01, metadata={"help": "Learning rate of the weights; the paper prints none. 0: frozen, the control."}
    )
    w_optim: str = field(
        default="sgd",
        metadata={
            "help": "How the weights move: plain gradient steps, as in the paper's algorithm; or (adam) by the "
            "model's own optimizer, which brings every gradient to one size.",
            "choices": list(_CHOICES["w_optim"]),
        },
    )
    w_param: str = field(
        default="simplex",
        metadata={
            "help": "How the weights stay on the simplex: by projection, as a softmax, or not at all (raw: starts "
            "at ones, where the perturbation is k times as large).",
            "choices": list(_CHOICES["w_param"]),
        },
    )
    w_mode: str = field(
        default="max", metadata={"help": "Ascend or descend the loss by w.", "choices": list(_CHOICES["w_mode"])}
    )
    adaptive_init: str | None = field(
        default=None,
        metadata={
            "help": "First weights: 1/k each, ones (raw only), or those that the wrapped method has; by default 1/k, "
            "for raw ones.",
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
        default=False,
        metadata={
            "help": "Log how far the loss is from its first-order approximation, and the clean loss, in each step (a "
            "forward pass more)."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adaptive_beta is not None:
            check_range("adaptive_beta", self.adaptive_beta, 0.0, None, "0 leaves the increments out")
        check_range("w_lr", self.w_lr, 0.0, None, "--w_mode min descends")
        if self.adaptive_init is None:
            self.adaptive_init = "ones" if self.w_param == "raw" else "uniform"
        for flag, choices in _CHOICES.items():
            check_choice(flag, getattr(self, flag), choices)
        if self.adaptive_init == "ones" and self.w_param != "raw":
            raise ValueError(
                f"--adaptive_init ones has a sum of k, and --w_param {self.w_param} keeps it at 1; use --w_param raw, "
                "or --adaptive_init uniform."
            )
