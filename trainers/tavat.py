"""tavat: virtual adversarial training that remembers a perturbation for each word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from hf_robust.adversary import Variable
from hf_robust.modules.auxiliary import Auxiliary
from hf_robust.modules.token_table import TokenTable
from hf_robust.training.adversary_arguments import (
    TABLE_NORM_HELP,
    TABLE_NORMS,
    StreamArguments,
    TokenAwareArguments,
)
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.embedding_space import PassLoss
from hf_robust.training.follow import FollowArguments, Reading
from hf_robust.training.step_passes import Passes, streamed_passes

READINGS = {"tavat_norm": Reading("sample", "batch")}


@dataclass
class TAVATConfig(FollowArguments, TokenAwareArguments, StreamArguments):
    """Defaults are TextDefender's."""

    code_reading = (
        "LinyangLee/Token-Aware-VAT: losses are summed, not averaged, and what a step found is added to the table, "
        "not put in its place"
    )

    adv_steps: int = field(default=2, metadata={"help": "[k] number of ascent steps."})
    include_initial: bool = field(
        default=True,
        metadata={"help": "Average over the points 0..k-1, as the code does; off: over 1..k, with one more pass."},
    )
    tavat_norm: str | None = field(  # type: ignore[assignment]
        default=None,
        metadata={
            "help": f"{TABLE_NORM_HELP} {READINGS['tavat_norm'].words}",
            "choices": list(TABLE_NORMS),
        },
    )

    @staticmethod
    def readings() -> Mapping[str, Reading]:
        return READINGS


class TAVATTrainer(RobustTrainer):
    r"""Li and Qiu 2021, arXiv:2004.14543, Algorithm 1 (token-aware VAT).

    .. math:: \frac1k\sum_{t=0}^{k-1}\mathrm{CE}(f(e+\delta_t+\eta_t),y)

    ``e``, delta and eta are (B, L, E). delta starts from noise, eta from a table V [vocabulary, E] that holds the last
    eta of each word (:class:`TokenTable`); :class:`hf_robust.adversary.TokenAware` moves both. k forwards and k
    backwards a step. V is no parameter; it is saved with checkpoints, so that a run resumes exactly.

    ``--follow code`` is LinyangLee/Token-Aware-VAT and TextDefender: the k losses are summed; eta is scaled to norm 1
    over the whole batch with its padding, not for each text over its real tokens; V adds the sum over a word's
    occurrences to its old value, instead of taking their mean. Differs from both: the start is projected into the
    radius, which the code's smaller start does not need; each pass looks up the embeddings anew, and its graph is
    freed. ``--include_initial False`` averages over the points 1..k, as ``adaptive_tavat`` does, with one more pass.
    """

    name = "tavat"
    family = "perturbed embeddings"
    citation = "li2021tavat"
    config = TAVATConfig
    presets = ("tavat.json", "tavat_code.json")
    trains_multi_label = True
    zero_strength = {"adv_steps": 1, "adv_init_mag": 0.0}
    weakened_by = {"perturbation_norm": "adv_lr"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        first = 0 if args.include_initial else 1
        passes = streamed_passes(args, args.adv_steps)
        return Passes(passes.forwards + first, passes.backwards + first)

    def auxiliary(self) -> Auxiliary:
        self.table = TokenTable(self, accumulate=self.args.follow_code)
        return Auxiliary(self.table, after_step=self.table.write, forget=self.table.forget)

    def used_arguments(self) -> dict[str, Any]:
        return {**super().used_arguments(), "tavat_token_lr": self.args.token_step}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        steps = self.args.adv_steps
        last_point: list[Variable] = []

        def loss_at(point: Variable) -> PassLoss:
            last_point[:] = [point]
            return PassLoss(*self.task_loss(model, inputs, at=point))

        weights = (1.0 if self.args.follow_code else 1 / steps,) * steps
        start: Variable = self.table.start(self, inputs)
        space, replay = self.embedding_space, self.embedding_space.replay(inputs)
        if not self.args.include_initial:
            objective = partial(self.sample_losses, labels=inputs["labels"])
            start = space.worst(inputs, objective, start, steps=1, replay=replay)
        loss, outputs = space.streamed(model, inputs, weights, loss_at, start, replay)
        self.table.remember(inputs, last_point[0])  # type: ignore[arg-type]
        return (loss, outputs) if return_outputs else loss
