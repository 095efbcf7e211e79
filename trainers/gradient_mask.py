"""gradient_mask: train on the clean texts and on copies whose most salient hypothesis token is masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from hf_robust.attacks.engine.tokens import check_mask_token
from hf_robust.training.arguments import check_choice, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.text_views import generated_views, union_loss
from hf_robust.training.view_arguments import GenerationArguments
from hf_robust.views import MaskedViews, ViewSource
from hf_robust.views.masked import UNITS


@dataclass
class GradientMaskConfig(GenerationArguments):
    """Defaults are the paper's: 5,000 examples of each class, one token of each."""

    mask_topk: int = field(default=1, metadata={"help": "Tokens, or words, masked in each text."})
    mask_unit: str = field(
        default="token",
        metadata={"help": "What is masked: a token, or a word with all its pieces.", "choices": list(UNITS)},
    )
    mask_per_class: int = field(
        default=5000, metadata={"help": "Texts masked of each class, drawn by --seed; fewer where it has fewer."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("mask_topk", self.mask_topk, 1, None, "1 masks the most salient one")
        check_choice("mask_unit", self.mask_unit, UNITS)
        check_range("mask_per_class", self.mask_per_class, 1, None, "--view_fraction 0 trains on clean texts alone")


class GradientMaskTrainer(RobustTrainer):
    r"""Khan 2025 ("GradMask", viXra:2505.0041, not on arXiv), Sections 3 to 5.

    .. math:: \min_\theta \frac{1}{|D\cup D'|}\sum_{(x,y)\in D\cup D'}\mathrm{CE}(f_\theta(x), y),\quad
              x' = x\ \text{with}\ x_{l^*} = \text{[MASK]},\quad
              l^* = \arg\max_l \lVert\partial\,\mathrm{CE}(f_0(x),y)/\partial e_l\rVert_1

    ``x`` is (B, L) token ids, ``y`` (B,) class ids and ``e`` (B, L, E) the embeddings of ``f_0``, a plainly trained
    model; l runs over the tokens of the hypothesis (the last text column, or the only one). Made once, for one forward
    and backward a text; then one forward and one backward a step.

    Differs from the paper: the texts are of the training set; the paper's are SNLI's validation texts, on which it
    then measures (``--view_split validation --allow_eval_views`` reproduces it, and the results say
    leaked). Labels are kept by fiat, as there: the run card has the baseline's fall of confidence. A
    model that never saw its mask token in pre-training (ELECTRA's discriminator) is out of its distribution on these
    texts.
    """

    name = "gradient_mask"
    citation = "khan2025gradmask"
    config = GradientMaskConfig
    weakened_by = {"loss_views": "view_fraction"}

    if TYPE_CHECKING:
        args: GradientMaskConfig

    def view_sources(self) -> Mapping[str, ViewSource]:
        args = self.args
        if self.train_dataset is not None:
            check_mask_token(self.processing_class)
        maker = MaskedViews(args.mask_topk, args.mask_unit, args.mask_per_class, args.seed, self.protection)
        return generated_views(self, {"masked": maker})

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = union_loss(self, model, inputs)
        return (loss, outputs) if return_outputs else loss
