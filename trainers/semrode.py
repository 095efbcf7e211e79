"""semrode: align the distribution of the features of adversarial texts with that of clean texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hf_robust.data import split_views, stack_rows
from hf_robust.losses import coral, mmd, sinkhorn
from hf_robust.training.arguments import check_choice, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.classifier_features import check_features, classifier_features
from hf_robust.training.contrastive_warmup import ContrastiveWarmupArguments, warmup_share
from hf_robust.training.step_passes import Passes, union_passes
from hf_robust.training.text_views import attacked_views, trainable_rows
from hf_robust.training.view_arguments import AttackedViewArguments
from hf_robust.views import SampledViews, ViewSource

DISTANCES = {"mmd": mmd, "coral": coral, "sinkhorn": sinkhorn}


@dataclass
class SemRoDeConfig(ContrastiveWarmupArguments, AttackedViewArguments):
    """Defaults are those of the run line in the code's README."""

    warmed_up_weights = ("semrode_lambda",)

    view_fraction: float = field(
        default=0.1, metadata={"help": "Share of the training texts to make views of, drawn by --seed."}
    )
    semrode_lambda: float = field(default=1.0, metadata={"help": "[lambda] weight of the distance."})
    semrode_distance: str = field(
        default="mmd", metadata={"help": "Distance between the two samples of features.", "choices": list(DISTANCES)}
    )
    semrode_adv_ce: bool = field(
        default=False, metadata={"help": "Train the label on the adversarial rows too, with weight 1."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("semrode_lambda", self.semrode_lambda, 0.0, None, "0 leaves the distance out")
        check_choice("semrode_distance", self.semrode_distance, tuple(DISTANCES))


class SemRoDeTrainer(RobustTrainer):
    r"""Formento et al. 2024, arXiv:2403.18423, Section 4.

    .. math:: \mathrm{CE}(f(x), y) + \lambda\,\mathrm{MMD}^2\big(\{h(x_b)\}_{b\le B}, \{h(x'_b)\}_{b\le B}\big)

    ``x`` is (B, L) token ids and ``y`` (B,) class ids; ``h`` (B, H) is the input of the last linear layer, BERT's
    pooled [CLS] after dropout as in the code. x' are adversarial texts of other rows, drawn anew at every fetch: the
    two samples are compared as distributions, not pair by pair. The attack runs once, on a tenth of the training
    texts; if it succeeds on none, the term is 0. Two forwards and two backwards a step. The distance is that of each
    micro-batch.

    Differs from the code: the kernel's width is clamped if all rows are equal. As in the code, the estimator includes
    the diagonals. Compare only with methods that train on the same attacked texts (``--view_file``).
    """

    name = "semrode"
    family = "attacked or masked texts"
    citation = "formento2024semrode"
    config = SemRoDeConfig
    needs = ("attacks",)
    presets = ("semrode.json",)
    zero_strength = {"semrode_lambda": 0.0}
    mid_run = {"view_fraction": 1.0}
    batch_relative = True
    row_wise = {"semrode_lambda": 0.0}
    weakened_by = {"loss_distance": "semrode_lambda"}

    if TYPE_CHECKING:
        args: SemRoDeConfig

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        compares = args.semrode_lambda > 0 or args.semrode_adv_ce
        return union_passes(args) if compares else Passes(1, 1)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.train_dataset is not None:
            check_features(self.model, self.processing_class)

    def view_sources(self) -> Mapping[str, ViewSource]:
        return {name: SampledViews(views, extras=("labels",)) for name, views in attacked_views(self).items()}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        main, views = split_views(inputs, self.view_names)
        drawn = [rows for rows in map(trainable_rows, views.values()) if len(rows["labels"])]
        distance = adversarial = None
        with classifier_features(self.model) as features:
            loss, outputs = self.task_loss(model, main)
            if drawn and (self.args.semrode_lambda > 0 or self.args.semrode_adv_ce):
                adversarial, _ = self.task_loss(model, stack_rows(drawn, self.processing_class))
                distance = DISTANCES[self.args.semrode_distance](*features)
        weight, zero = warmup_share(self) * self.args.semrode_lambda, torch.zeros_like(loss)
        self.log_parts(task=loss, distance=zero if distance is None else distance)
        if self.args.semrode_adv_ce:
            self.log_parts(adversarial=zero if adversarial is None else adversarial)
        if distance is not None and adversarial is not None:
            loss = loss + weight * distance
            loss = loss + adversarial if self.args.semrode_adv_ce else loss
        return (loss, outputs) if return_outputs else loss
