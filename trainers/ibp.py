"""ibp: train on the worst loss that interval bounds allow when every word may be any of its substitutes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from hf_robust.certify.intervals import BOUNDED, IntervalBounds
from hf_robust.training.arguments import RobustTrainingArguments, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.neighbour_table import NeighbourTable
from hf_robust.training.step_passes import Passes


@dataclass
class IBPConfig(RobustTrainingArguments):
    """Defaults are the paper's for IMDB; for SNLI it takes 0.5 for ``ibp_kappa``."""

    ibp_kappa: float = field(
        default=0.2,
        metadata={
            "help": "[kappa] weight of the loss on the clean text when training ends; 1 - kappa is that of the worst "
            "loss; 1: the same as --robust_method normal."
        },
    )
    ibp_ramp: float = field(
        default=0.67,
        metadata={
            "help": "Share of training in which the boxes grow from a point to the substitutes and the weight of the "
            "clean loss falls from 1 to --ibp_kappa; 0: full from the first step."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("ibp_kappa", self.ibp_kappa, 0.0, 1.0, "it is a share of the loss")
        check_range("ibp_ramp", self.ibp_ramp, 0.0, 1.0, "it is a share of training")


class IBPTrainer(RobustTrainer):
    r"""Jia et al. 2019, arXiv:1909.00986, Section 3 (interval bound propagation; Huang et al. 2019, arXiv:1909.01492).

    .. math:: \kappa_t\,\mathrm{CE}(z(x), y) + (1-\kappa_t)\,\mathrm{CE}(\bar z_{\epsilon_t}(x), y),\qquad
              \bar z_c = \max_{x'}\,[z_c(x') - z_y(x')] \text{ by intervals},\quad
              \epsilon_t = r_t,\quad \kappa_t = 1 - r_t (1-\kappa),\quad r_t = \min(1,\ (t+1)/(\rho T))

    ``x`` (B, L) are token ids and z (B, K) the logits; x' has at each position the word or one of its substitutes in
    ``--lexicon``. :math:`\bar z` is an upper bound over all of them together (:class:`IntervalBounds`), in boxes that
    are scaled by epsilon. rho is ``ibp_ramp``, T the number of steps. Only an LSTM or a CNN of this package can be
    trained (``--model_name_or_path lstm`` or ``cnn``). ``--certify_rule intervals`` and `hf-robust certify --rule
    intervals` count the texts that no swaps by the table can change: an LSTM that is trained plainly has next to none.
    One forward and one backward a step, and those of the bounds, which count as two each, one for each end; the loop
    over an LSTM's tokens takes longer than its own pass.

    Differs from the paper and robinjia/certified-word-sub: both schedules rise with each step, not with each epoch
    (its 40 of 60 epochs are the default of ``ibp_ramp``, and its ``cert_frac`` is 1 - kappa); bounds are those of the
    network without dropout; its networks have a linear layer with ReLU on frozen GloVe vectors and ours do not, so
    that the substitutes go through the first linear map (``--word_vectors``, ``--freeze_embeddings`` freeze the
    vectors here); all substitutes count, whereas the paper leaves out those that a language model finds unlikely.
    ``--protect`` applies to the measurements only.
    """

    name = "ibp"
    family = "substituted words"
    citation = "jia2019certified"
    config = IBPConfig
    needs = ("synonyms",)
    presets = ("ibp.json",)
    architectures = BOUNDED
    zero_strength = {"ibp_kappa": 1.0}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = 1 + (IntervalBounds.passes if args.ibp_kappa < 1 else 0)
        return Passes(count, count)

    @classmethod
    def needs_whole_model(cls, args: Any) -> str:
        return "reads the weights outside a forward pass, to bound the predictions"

    @cached_property
    def neighbours(self) -> NeighbourTable:
        """The substitutes of each token; those outside the vocabulary are its unknown token."""
        return NeighbourTable(self, None, unknown=True)

    @cached_property
    def bounds(self) -> IntervalBounds:
        """The bounds of the model that is trained."""
        return IntervalBounds(self.model)

    def _share(self) -> float:
        """How far the schedules are [r], above 0; 1 outside training."""
        steps = self.args.ibp_ramp * self.state.max_steps
        return min(1.0, (self.state.global_step + 1) / steps) if steps else 1.0

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        if self.args.ibp_kappa < 1:
            labels, share, hull = inputs["labels"], self._share(), self.neighbours(inputs).hull
            kappa = 1 - share * (1 - self.args.ibp_kappa)
            ids = torch.where(hull.valid, hull.ids, hull.ids[..., :1])
            margins = self.bounds(ids, inputs["attention_mask"] != 0, labels, share)
            worst = self.sample_losses(-margins, labels).sum() / self.mean_divisor(inputs)
            self.log_parts(ce=kappa * loss, worst=(1 - kappa) * worst)
            certain = (margins > 0).sum(-1) == margins.shape[-1] - 1
            self.log_values(ibp_epsilon=loss.new_tensor(share), certified_in_training=certain.float().mean())
            loss = kappa * loss + (1 - kappa) * worst
        return (loss, outputs) if return_outputs else loss
