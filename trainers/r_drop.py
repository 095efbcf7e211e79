"""r_drop: keep the predictions of two draws of dropout near each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.losses import sample_symmetric_kl
from hf_robust.models.architecture import without_peft
from hf_robust.models.dropout import dropout_fields, has_dropout_layers
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.follow import FollowArguments, Reading
from hf_robust.training.step_passes import Passes

READINGS = {"r_drop_alpha": Reading(1.0, 0.7)}


@dataclass
class RDropConfig(FollowArguments):
    """The paper takes 0.1, 0.5 or 1 on GLUE; 0.7 is the constant in the released code."""

    code_weights = ("r_drop_alpha",)
    code_reading = (
        "dropreg/R-Drop: half of the first draw's cross-entropy, and the divergence is summed over the batch, so that "
        "it weighs more in larger batches"
    )

    r_drop_alpha: float | None = field(
        default=None,
        metadata={
            "help": "[alpha] weight of the divergence; 0: the same as --robust_method normal. "
            f"{READINGS['r_drop_alpha'].words}"
        },
    )

    @staticmethod
    def readings() -> Mapping[str, Reading]:
        return READINGS

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.r_drop_alpha is not None
        check_range("r_drop_alpha", self.r_drop_alpha, 0.0, None, "0 leaves the second draw out")


class RDropTrainer(RobustTrainer):
    r"""Liang et al. 2021, arXiv:2106.14448, Eqs. 1-4 (R-Drop).

    .. math:: \mathrm{CE}(f_1(x),y) + \mathrm{CE}(f_2(x),y) + \frac{\alpha}{2}\bigl[\mathrm{KL}(p_1\,\|\,p_2) +
              \mathrm{KL}(p_2\,\|\,p_1)\bigr]

    ``x`` is (B, L) token ids; f_1 and f_2 are the model under two draws of its dropout masks and p_1, p_2 (B, K) their
    predictions; all terms are means over the texts. Two forwards and two backwards a step; with ``r_drop_alpha`` 0
    the second draw is left out. As nothing is perturbed but the dropout masks, it is the control for ``smart``, whose
    smoothness term measures dropout too wherever its passes draw masks of their own. A model without dropout, as
    most decoders are by default, gives two equal predictions: it is refused in the first step.

    ``--follow code`` is dropreg/R-Drop for language understanding: its cross-entropy is half of that of the first draw
    (the second is never reached), and the divergence is summed over the batch. A batch that is split over accumulation
    steps or ranks then has another loss.

    Differs from the paper: the two passes are made one after the other, not as one batch of twice the size, which
    draws the same masks in distribution. For models that give several labels, the divergence is the mean over the
    labels.
    """

    name = "r_drop"
    family = "loss on the text itself"
    citation = "liang2021rdrop"
    config = RDropConfig
    presets = ("r_drop.json", "r_drop_code.json")
    trains_multi_label = True
    zero_strength = {"r_drop_alpha": 0.0}
    row_wise = {"follow": "paper"}
    weakened_by = {"loss_divergence": "r_drop_alpha"}
    needs_dropout = True
    _draws_differ = False

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = 2 if args.r_drop_alpha else 1
        return Passes(count, count)

    @property
    def batch_relative(self) -> bool:  # type: ignore[override]
        return bool(self.args.follow_code)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        if self.args.r_drop_alpha:
            second, other = self.task_loss(model, inputs)
            divergence = self._divergence(outputs["logits"], other["logits"])
            ce = loss / 2 if self.args.follow_code else loss + second
            self.log_parts(ce=ce, divergence=divergence)
            loss = ce + divergence
        return (loss, outputs) if return_outputs else loss

    def _divergence(self, first: Tensor, second: Tensor) -> Tensor:
        if not self._draws_differ:
            check_draws(self.name, self.model, first, second)
            self._draws_differ = True
        rows = sample_symmetric_kl(first, second, multi_label=self.multi_label)
        total: Tensor = rows.sum() if self.args.follow_code else rows.mean()
        return float(self.args.r_drop_alpha) / 2 * total


def check_draws(name: str, model: Any, first: Tensor, second: Tensor) -> None:
    """Refuse a model without dropout: its predictions (B, K) under two draws of it are equal.

    New adapters and heads give equal ones too, since they start at 0, but then a layer before them has dropout.

    Raises:
        ValueError: the predictions are equal, and no layer has dropout.
    """
    if not torch.equal(first, second) or has_dropout_layers(model):
        return
    model = without_peft(model)
    fields = sorted({field for part, field in dropout_fields(model.config) if not getattr(part, field)})
    remedy = f"set {' or '.join(fields)} of its config above 0 (--config_name FILE), train adapters" * bool(fields)
    raise ValueError(
        f"{name} compares two draws of dropout, and {type(model).__name__} predicts the same in both, so that it has "
        f"no dropout; {remedy or 'train adapters'} with dropout (--lora_rank 8), or use another model or method."
    )
