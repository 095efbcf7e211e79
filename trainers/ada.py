"""ada: train on the clean texts and on those that fooled a plainly trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes, union_passes
from hf_robust.training.text_views import attacked_views, union_loss
from hf_robust.training.view_arguments import AttackedViewArguments
from hf_robust.views import ViewSource


@dataclass
class ADAConfig(AttackedViewArguments):
    """Adversarial data augmentation has no arguments of its own beside those of the attacked views."""


class ADATrainer(RobustTrainer):
    r"""Si et al. 2021, arXiv:2012.15699, Section 3.1, the static augmentation that TaiChi and others compare with.

    .. math:: \min_\theta \frac{1}{|D\cup D'|}\sum_{(x,y)\in D\cup D'}\mathrm{CE}(f_\theta(x), y)

    ``x`` is (B, L) token ids and ``y`` (B,) class ids. D' holds, with their true labels, the texts by which the
    attacks fooled a model that was fine-tuned on D. It is made once, and training starts from the pre-trained
    weights. One forward and one backward a step, of up to twice the rows.

    Differs from the paper: a view is in the same batch as its example, so that an epoch has as many updates as a plain
    one; a failed attack gives no view (TaiChi's comparison pairs every text, ``--failed_views clean``). With several
    attacks D' is the union of their texts. Measure a model with another attack than the one it was trained on.
    """

    name = "ada"
    family = "attacked or masked texts"
    citation = "si2021better"
    config = ADAConfig
    needs = ("attacks",)
    presets = ("ada.json",)
    zero_strength = {"view_fraction": 0.0}
    weakened_by = {"loss_views": "view_fraction"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return union_passes(args)

    def view_sources(self) -> Mapping[str, ViewSource]:
        return attacked_views(self)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = union_loss(self, model, inputs)
        return (loss, outputs) if return_outputs else loss
