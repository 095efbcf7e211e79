"""Warm-up of the weight of a contrastive term, so that it does not dominate cross-entropy in short trainings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from hf_robust.training.arguments import RobustTrainingArguments, check_has_effect, check_range

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer


@dataclass
class ContrastiveWarmupArguments(RobustTrainingArguments):
    """Flag of the warm-up; ``warmed_up_weights`` are the flags of the weights that it applies to."""

    warmed_up_weights = tuple[str, ...]()  # without an annotation, which would make it a field

    contrastive_warmup: float = field(
        default=0.0,
        metadata={
            "help": "Share of training in which the weight of the term on features rises linearly from 0 to its full "
            "value; 0: full weight from the first step, as in the paper."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("contrastive_warmup", self.contrastive_warmup, 0.0, 1.0, "it is a share of training")
        if self.contrastive_warmup:
            check_has_effect(f"--contrastive_warmup {self.contrastive_warmup:g}", self, self.warmed_up_weights)


def warmup_share(trainer: RobustTrainer) -> float:
    r"""Factor in [0, 1] on the weight of the contrastive term in this step; call it once for each pass.

    .. math:: r_s = \min(1,\ s / (wS))

    with s the number of optimizer steps done, S the number of all steps, and w ``--contrastive_warmup``. The factor is
    1 if w is 0, and outside training. All micro-batches and ranks of a step have the same factor, and a resumed run
    has those of the uninterrupted run. If w is above 0, the log contains the factor as ``contrastive_share``.
    """
    warmup, state = trainer.args.contrastive_warmup, trainer.state
    if not warmup:
        return 1.0
    share = min(1.0, state.global_step / (warmup * state.max_steps)) if state.max_steps else 1.0
    trainer.log_values(contrastive_share=torch.tensor(share, device=trainer.args.device))
    return share
