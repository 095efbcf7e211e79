"""freelb: every point of the ascent trains, averaged."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from hf_robust.training.adversary_arguments import StreamArguments
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes, streamed_passes


@dataclass
class FreeLBConfig(StreamArguments):
    """Steps are TextDefender's: the official parser's defaults give plain training, and its scripts differ by task."""

    same_dropout: bool = field(default=True, metadata={"help": "All k passes over a batch share their dropout masks."})
    include_initial: bool = field(
        default=True,
        metadata={"help": "Average over the points 0..k-1, as the code does; off: over 1..k, with one more pass."},
    )


class FreeLBTrainer(RobustTrainer):
    r"""Zhu et al. 2020, arXiv:1909.11764, Algorithm 1.

    .. math:: \frac1k\sum_{t=0}^{k-1}\mathrm{CE}(f(e+\delta_t),y),\qquad
              \delta_{t+1} = \Pi_\epsilon\bigl(\delta_t + \alpha\, g_t/\|g_t\|_F\bigr)

    ``e`` and ``delta`` are (B, L, E); delta_t is a constant in the loss. k forwards and k backwards a step: the
    backward of each pass gives both the parameters' gradient and g_t, and its graph is freed before the next pass
    (``--multi_backward sum`` keeps all k graphs). delta_k is not computed; the radius limits the accumulated
    perturbation, whatever the code's names say; embeddings are looked up anew at each pass.

    The k passes share their dropout masks, as in the paper; TextDefender draws new ones (``--same_dropout False``).
    Differs from AdaptAT's Eq. 9, which averages t = 1..k (``--include_initial False``).
    """

    name = "freelb"
    family = "perturbed embeddings"
    citation = "zhu2020freelb"
    config = FreeLBConfig
    presets = ("freelb.json",)
    trains_multi_label = True
    zero_strength = {"adv_steps": 1, "adv_init_mag": 0.0}
    weakened_by = {"perturbation_norm": "adv_lr"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        first = 0 if args.include_initial else 1
        passes = streamed_passes(args, args.adv_steps)
        return Passes(passes.forwards + first, passes.backwards + first)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        space, steps = self.embedding_space, self.args.adv_steps
        start, replay = None, space.replay(inputs)
        if not self.args.include_initial:
            objective = partial(self.sample_losses, labels=inputs["labels"])
            start = space.worst(inputs, objective, steps=1, replay=replay)
        loss, outputs = space.streamed(model, inputs, (1 / steps,) * steps, start=start, replay=replay)
        return (loss, outputs) if return_outputs else loss
