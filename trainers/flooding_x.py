"""flooding_x: flooding at a level that is measured before training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from hf_robust.losses import flooded
from hf_robust.modules.auxiliary import Auxiliary
from hf_robust.training.arguments import RobustTrainingArguments, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.flood_level import AUTO, FloodLevel, MeasureFloodLevel, check_measurable


@dataclass
class FloodingXConfig(RobustTrainingArguments):
    """How the level is measured."""

    flood_level: str = field(
        default=AUTO,
        metadata={"help": "[b] level of the training loss: a number, or auto to measure it in a plain run first."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flood_level == AUTO:
            return
        try:
            level = float(self.flood_level)
        except ValueError:
            raise ValueError(f"--flood_level must be auto or a number, got {self.flood_level!r}.") from None
        check_range("flood_level", level, 0.0, None, "0 is ordinary fine-tuning")


class FloodingXTrainer(RobustTrainer):
    r"""Liu et al. 2022, "Flooding-X: Improving BERT's Resistance to Adversarial Attacks via Loss-Restricted
    Fine-Tuning", on flooding (arXiv:2002.08709).

    .. math:: |L - b| + b,\qquad A = \frac1{S(S-1)}\sum_{s\ne s'}\cos(g_s, g_{s'})

    L is the cross-entropy's mean over ids (B, L), as in flooding; b is the mean training loss of the first epoch of a
    plain run after which the gradients g_s (P,) of S = 8 micro-batches no longer agree, A <= 0, else of the epoch with
    the smallest A (:mod:`hf_robust.training.flood_level`). One forward and one backward a step, plus the plain run
    before the first step. b is saved in ``flood_level.json`` and in the checkpoints, so that it is measured once.

    Differs from the code: the repository does not measure agreement and has only the grid {0.1, 0.2}, from which
    ``--flood_level`` takes a number. Everything else is as in :class:`hf_robust.trainers.flooding.FloodingTrainer`.

    Raises:
        ValueError: the level is to be measured on a data set without a length.
    """

    name = "flooding_x"
    family = "loss on the text itself"
    citation = "liu2022floodingx"
    config = FloodingXConfig
    presets = ("flooding_x.json",)
    zero_strength = {"flood_level": "0"}
    mid_run = {"flood_level": "0.1"}
    batch_relative = True
    row_wise = {"flood_level": "0"}
    weakened_by = {"flood_below": "flood_level"}

    @classmethod
    def needs_whole_model(cls, args: Any) -> str:
        return "trains a copy of it for --flood_level auto (a number needs none)" if args.flood_level == AUTO else ""

    @classmethod
    def needs_whole_data(cls, args: Any) -> str:
        return "counts epochs of them for --flood_level auto (a number needs none)" if args.flood_level == AUTO else ""

    def auxiliary(self) -> Auxiliary | None:
        self.flood_level: float | None = None
        if self.args.flood_level != AUTO:
            self.flood_level = float(self.args.flood_level)
            return None
        check_measurable(self)
        level = FloodLevel()
        self.add_callback(MeasureFloodLevel(self, level))
        return Auxiliary(level)

    def measured_in_training(self) -> dict[str, Any]:
        measured = self.args.flood_level == AUTO and getattr(self, "flood_level", None) is not None
        return {"flood_level": self.flood_level} if measured else {}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if self.flood_level is None:
            raise ValueError(
                "flooding_x has no level yet: it measures the level when training starts; "
                "call train(), or pass a number, such as --flood_level 0.1."
            )
        loss, outputs = self.task_loss(model, inputs)
        self.log_values(flood_below=(loss.detach() < self.flood_level).float())
        loss = flooded(loss, self.flood_level)
        return (loss, outputs) if return_outputs else loss
