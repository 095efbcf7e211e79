"""Flags of the embedding-space adversary, shared by all methods that have one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hf_robust.adversary import NORMS, Adversary, StepRule
from hf_robust.training.arguments import RobustTrainingArguments, check_choice, check_range


@dataclass
class EmbeddingSpaceArguments(RobustTrainingArguments):
    """Flags of the tokens that the adversary may perturb, and of the unit of its sizes."""

    adv_special_tokens: bool = field(
        default=True,
        metadata={"help": "Perturb special tokens such as [CLS] and [SEP] too, as the official codes do."},
    )
    adv_relative: bool = field(
        default=False,
        metadata={
            "help": "Step, noise and radius (adv_lr, adv_init_mag, adv_max_norm) are multiples of the mean norm of a "
            "micro-batch's word embeddings, so that they mean the same for every model; off: absolute, as in the "
            "papers."
        },
    )


@dataclass
class StepArguments(EmbeddingSpaceArguments):
    """Flags of an adversary's start and steps; the defaults are TextDefender's."""

    adv_steps: int = field(default=5, metadata={"help": "[k] number of ascent steps."})
    adv_lr: float = field(default=0.03, metadata={"help": "[alpha] size of one ascent step."})
    adv_init_mag: float = field(default=0.05, metadata={"help": "Magnitude of the noise at which the ascent starts."})
    same_dropout: bool = field(default=False, metadata={"help": "All passes over a batch share their dropout masks."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("adv_steps", self.adv_steps, 1, None, "use --robust_method normal for training without steps")
        check_range("adv_lr", self.adv_lr, 0.0, None, "the ascent goes up the loss")
        check_range("adv_init_mag", self.adv_init_mag, 0.0, None, "0 starts at the clean text")


@dataclass
class AdversaryArguments(StepArguments):
    """Flags of an adversary with normalised steps and an optional radius."""

    adv_max_norm: float = field(
        default=0.0, metadata={"help": "[eps] maximum norm of the perturbation, all steps together; 0: no limit."}
    )
    adv_norm_type: str = field(
        default="l2",
        metadata={
            "help": "Norm of the steps and of the radius; linf divides by the largest entry, none does not divide.",
            "choices": list(NORMS),
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("adv_max_norm", self.adv_max_norm, 0.0, None, "0 means no limit")
        check_choice("adv_norm_type", self.adv_norm_type, NORMS)

    def adversary(self, **changes: Any) -> Adversary:
        """The adversary that the flags describe, with ``changes`` to its settings."""
        settings: dict[str, Any] = {
            "steps": self.adv_steps,
            "rule": StepRule(self.adv_lr, self.adv_max_norm, self.adv_norm_type),  # type: ignore[arg-type]
            "init_mag": self.adv_init_mag,
            "same_dropout": self.same_dropout,
            "special_tokens": self.adv_special_tokens,
            "relative": self.adv_relative,
        }
        return Adversary(**{**settings, **changes})


@dataclass
class ClimbArguments(AdversaryArguments):
    """Flags of an adversary whose ascent passes are separate from the training pass."""

    same_dropout: bool = field(
        default=False, metadata={"help": "The ascent passes and the training pass share their dropout masks."}
    )

    def adversary(self, **changes: Any) -> Adversary:
        return super().adversary(**{"passes": "climb", **changes})


def require_noise(magnitude: float) -> None:
    """Refuse a climb on the divergence from the clean prediction that starts at the clean text: its gradient is 0."""
    if magnitude == 0:
        raise ValueError(
            "--adv_init_mag must be above 0 if the adversary maximises a KL divergence, got 0: the gradient at the "
            "clean text is 0; leave the flag at its default."
        )


PASSES = ("stream", "sum")


@dataclass
class MultiBackwardArguments(RobustTrainingArguments):
    """Flag of the backward passes of a step with several training passes."""

    multi_backward: str = field(
        default="stream",
        metadata={
            "help": "When the passes of a step are backpropagated. stream: each at once, with one graph in memory; "
            "sum: all at the end, with all graphs in memory.",
            "choices": list(PASSES),
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("multi_backward", self.multi_backward, PASSES)


@dataclass
class StreamArguments(AdversaryArguments, MultiBackwardArguments):
    """Flags of an adversary whose ascent passes are training passes too."""

    def adversary(self, **changes: Any) -> Adversary:
        return super().adversary(**{"passes": self.multi_backward, **changes})


TOKEN_AWARE_NORMS = ("l2", "none")
TABLE_NORMS = ("sample", "magnitude", "batch", "none", "zero")
TABLE_NORM_HELP = (
    "Scale of the remembered perturbation at the start. sample: norm 1 for each text; magnitude: norm --adv_init_mag "
    "for each text; batch: norm 1 for the whole batch; none: not scaled; zero: start at 0."
)


@dataclass
class TokenAwareArguments(AdversaryArguments):
    """Flags of TA-VAT's table and word perturbation; step size, noise and radius are TextDefender's."""

    adv_lr: float = field(default=0.05, metadata={"help": "[alpha] size of one ascent step."})
    adv_init_mag: float = field(
        default=0.2,
        metadata={"help": "Magnitude of the noise at which the ascent starts and of the table's first entries."},
    )
    adv_max_norm: float = field(default=0.5, metadata={"help": "[eps] maximum norm of delta + eta; 0: no limit."})
    tavat_token_lr: float | None = field(
        default=None, metadata={"help": "Size of one ascent step of the words' perturbation. Default: --adv_lr."}
    )
    tavat_norm: str = field(default="magnitude", metadata={"help": TABLE_NORM_HELP, "choices": list(TABLE_NORMS)})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tavat_token_lr is not None:
            check_range("tavat_token_lr", self.tavat_token_lr, 0.0, None, "0 keeps the words' perturbation in place")
        if self.adv_norm_type not in TOKEN_AWARE_NORMS:
            raise ValueError(
                f"--adv_norm_type must be l2 or none for {self.robust_method}, whose radius holds two perturbations "
                f"together, got {self.adv_norm_type!r}; use --adv_norm_type l2."
            )
        check_choice("tavat_norm", self.tavat_norm, TABLE_NORMS)

    @property
    def token_step(self) -> float:
        """Size of one ascent step of the word perturbations."""
        return self.adv_lr if self.tavat_token_lr is None else self.tavat_token_lr
