"""semrode: the features of adversarial texts as a whole are distributed like those of clean ones."""

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
from hf_robust.training.text_views import attacked_views, trainable_rows
from hf_robust.training.view_arguments import AttackedViewArguments
from hf_robust.views import SampledViews, ViewSource

DISTANCES = {"mmd": mmd, "coral": coral, "sinkhorn": sinkhorn}


@dataclass
class SemRoDeConfig(ContrastiveWarmupArguments, AttackedViewArguments):
    """Defaults are those of the run line in the code's README."""

    warmed_up_weights = ("semrode_lambda",)

    view_fraction: float = field(
        default=0.1, metadata={"help": "Share of the training texts that views are made of, drawn by --seed."}
    )
    semrode_lambda: float = field(default=1.0, metadata={"help": "[lambda] weight of the distance."})
    semrode_distance: str = field(
        default="mmd", metadata={"help": "Distance between the two samples of features.", "choices": list(DISTANCES)}
    )
    semrode_adv_ce: bool = field(
        default=False, metadata={"help": "Also train the label on the adversarial rows, with weight 1."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("semrode_lambda", self.semrode_lambda, 0.0, None, "0 leaves the distance out")
        check_choice("semrode_distance", self.semrode_distance, tuple(DISTANCES))


class SemRoDeTrainer(RobustTrainer):
    r"""Formento et al. 2024, arXiv:2403.18423, Section 4.

    .. math:: \mathrm{CE}(f(x), y) + \lambda\,\mathrm{MMD}^2\big(\{h(x_b)\}_{b\le B}, \{h(x'_b)\}_{b\le B}\big)

    ``x`` is (B, L) token ids and ``y`` (B,) class ids; ``h`` (B, H) is what the last linear layer reads, BERT's pooled
    [CLS] after dropout as in the code. x' are found texts of other rows, drawn anew at every fetch: the two samples
    are compared as distributions, not pair by pair. The attack runs once, on a tenth of the training texts; where it
    found nothing the term is 0. Two forwards and one backward a step. The distances are of each micro-batch.

    Differs from the code: the kernel's width is guarded where all rows are equal; the estimator takes its
    diagonals in as the code does. Compare only with methods that were given the same attacked texts
    (``--view_file``).
    """

    name = "semrode"
    citation = "formento2024semrode"
    config = SemRoDeConfig
    weakened_by = {"loss_distance": "semrode_lambda"}
    needs = ("attacks",)
    batch_relative = True

    if TYPE_CHECKING:
        args: SemRoDeConfig

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
