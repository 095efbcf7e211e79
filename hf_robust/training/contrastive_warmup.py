"""A term on features whose weight rises from 0, so that it does not outrun cross-entropy where steps are few."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from hf_robust.training.arguments import RobustTrainingArguments, check_has_effect, check_range

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer


@dataclass
class ContrastiveWarmupArguments(RobustTrainingArguments):
    """How the weight of a method's term on features begins; a method names the flags of that weight."""

    risen_weights = tuple[str, ...]()  # no annotation, which would make a field of it

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
            check_has_effect(f"--contrastive_warmup {self.contrastive_warmup:g}", self, self.risen_weights)


def risen(trainer: RobustTrainer) -> float:
    r"""The share, in [0, 1], of its weight that the term has in this step; asked for once a pass.

    .. math:: r_s = \min(1,\ s / (wS))

    with s the optimizer steps done, S those of the whole training and w ``--contrastive_warmup``; 1 where w is 0, and
    outside training. By steps done, all micro-batches and ranks of a step have the same share, and a run that goes on
    from a checkpoint has that of the uninterrupted run. Logged as ``contrastive_share`` where w is above 0.
    """
    warmup, state = trainer.args.contrastive_warmup, trainer.state
    if not warmup:
        return 1.0
    share = min(1.0, state.global_step / (warmup * state.max_steps)) if state.max_steps else 1.0
    trainer.log_values(contrastive_share=torch.tensor(share, device=trainer.args.device))
    return share
