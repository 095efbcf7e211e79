"""What splitting a batch over steps or ranks changes, said before training."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)


def say_split_batches(trainer: RobustTrainer) -> None:
    """One line where a batch is split and that changes something.

    The stock Trainer (5.23, https://github.com/huggingface/transformers/issues/47688) takes the ``**kwargs`` of a
    classifier for a promise to scale its loss by the whole batch, which its head does not keep: neither accumulation
    steps nor ranks divide, so that its gradients are as many times as large.
    """
    args = trainer.args
    parts = args.gradient_accumulation_steps * args.world_size
    if parts == 1 or trainer.train_dataset is None or not trainer.is_world_process_zero():
        return
    if trainer.batch_relative:
        logger.warning("%s takes means over each micro-batch: splitting a batch changes its loss.", trainer.name)
    if trainer.stock_multiplies:
        logger.info(
            "The loss is the mean over the %d parts of a batch (accumulation steps times processes). The stock "
            "Trainer of transformers does not divide for this model: its gradients are %d times as large, and its "
            "weights others.",
            parts,
            parts,
        )
