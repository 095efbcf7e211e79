"""normal: cross-entropy on the clean text, the baseline of every method."""

from __future__ import annotations

from typing import Any

from torch import nn

from hf_robust.training.base import Batch, RobustTrainer


class NormalTrainer(RobustTrainer):
    r"""Ordinary fine-tuning, with gradient accumulation that does not change the gradient.

    .. math:: \min_\theta \frac1B\sum_b \mathrm{CE}(f_\theta(x_b), y_b)

    ``x`` is (B, L) token ids, ``y`` (B,) class ids. One forward and one backward a step; with one accumulation step
    its weights equal the stock ``Trainer``'s bit for bit. Only this method also trains regression heads, with the
    model's own squared error.
    """

    name = "normal"
    family = "baseline"
    zero_strength = {}
    trains_regression = True
    trains_multi_label = True

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss
