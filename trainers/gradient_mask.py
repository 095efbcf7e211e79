"""gradient_mask: train on the clean texts and on copies whose most salient hypothesis token is masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from hf_robust.attacks.engine.tokens import check_mask_token
from hf_robust.training.arguments import check_choice, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes, union_passes
from hf_robust.training.text_views import generated_views, union_loss, word_rule_of
from hf_robust.training.view_arguments import GenerationArguments
from hf_robust.views import MaskedViews, ViewSource
from hf_robust.views.masked import UNITS


@dataclass
class GradientMaskConfig(GenerationArguments):
    """Defaults are the paper's: 5,000 examples of each class, one token of each."""

    mask_topk: int = field(default=1, metadata={"help": "Number of tokens, or words, to mask in each text."})
    mask_unit: str = field(
        default="token",
        metadata={"help": "What to mask: a token, or a word with all its pieces.", "choices": list(UNITS)},
    )
    mask_per_class: int = field(
        default=5000, metadata={"help": "Maximum number of texts of each class to mask, drawn by --seed."}
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
    model; l runs over the tokens of the hypothesis (the last text column, or the only one). D' is made once, with one
    forward and one backward for each text. One forward and one backward a step, of up to twice the rows.

    Differs from the paper: training texts are masked. The paper masks SNLI's validation texts and then measures on
    them (``--leaked_view_split validation`` does so, and marks the results as leaked). As in the paper,
    masked texts keep their labels without a check; the run card says how far the baseline's confidence falls. A model
    that never read its mask token in pre-training (ELECTRA's discriminator) is out of its distribution on these texts.
    """

    name = "gradient_mask"
    family = "attacked or masked texts"
    citation = "khan2025gradmask"
    config = GradientMaskConfig
    presets = ("gradient_mask.json",)
    zero_strength = {"view_fraction": 0.0}
    weakened_by = {"loss_views": "view_fraction"}

    if TYPE_CHECKING:
        args: GradientMaskConfig

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return union_passes(args)

    def view_sources(self) -> Mapping[str, ViewSource]:
        args = self.args
        if self.train_dataset is not None:
            check_mask_token(self.processing_class)
        settings = args.mask_topk, args.mask_unit, args.mask_per_class, args.seed
        maker = MaskedViews(*settings, self.protection, word_rule_of(self))
        return generated_views(self, {"masked": maker})

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = union_loss(self, model, inputs)
        return (loss, outputs) if return_outputs else loss
