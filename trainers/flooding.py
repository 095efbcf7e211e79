"""flooding: keep the training loss at a level."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from hf_robust.losses import flooded
from hf_robust.training.arguments import RobustTrainingArguments, check_range
from hf_robust.training.base import Batch, RobustTrainer


@dataclass
class FloodingConfig(RobustTrainingArguments):
    """The default level is the lower one of the official scripts' grid for SST-2, {0.1, 0.2}."""

    flood_level: float = field(default=0.1, metadata={"help": "[b] level of the training loss."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("flood_level", self.flood_level, 0.0, None, "0 is ordinary fine-tuning")


class FloodingTrainer(RobustTrainer):
    r"""Ishida et al. 2020, arXiv:2002.08709, Eq. 5.

    .. math:: |L - b| + b,\qquad L = \frac1B\sum_b \mathrm{CE}(f(x_b), y_b)

    ``x`` is (B, L) token ids. One forward and one backward a step: below the level the step raises L. L is the mean of
    the micro-batch, so that splitting a batch raises the trained loss, ``E|L_i - b| >= |E L_i - b|``;
    ``flood_below`` in the log is the share of micro-batches below the level. At L = b the gradient is 0.
    The logged training loss is L, and evaluation is on L.

    Differs from the paper in nothing. To flood another method, put :func:`hf_robust.losses.flooded` around its loss,
    which must be backpropagated at once (``--multi_backward sum`` for methods that stream their passes).
    """

    name = "flooding"
    family = "loss on the text itself"
    citation = "ishida2020flooding"
    config = FloodingConfig
    presets = ("flooding.json",)
    trains_multi_label = True
    zero_strength = {"flood_level": 0.0}
    batch_relative = True
    row_wise = {"flood_level": 0.0}
    weakened_by = {"flood_below": "flood_level"}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        self.log_values(flood_below=(loss.detach() < self.args.flood_level).float())
        loss = flooded(loss, self.args.flood_level)
        return (loss, outputs) if return_outputs else loss
