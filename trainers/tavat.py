"""tavat: virtual adversarial training that remembers a perturbation for each word."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from hf_robust.adversary import Variable
from hf_robust.trainers.adversary_arguments import StreamArguments, TokenAwareArguments
from hf_robust.trainers.auxiliary import Auxiliary
from hf_robust.trainers.base import Batch, RobustTrainer
from hf_robust.trainers.embedding_space import PassLoss
from hf_robust.trainers.token_table import TokenTable


@dataclass
class TavatConfig(TokenAwareArguments, StreamArguments):
    """Defaults are TextDefender's."""

    adv_steps: int = field(default=2, metadata={"help": "[k] number of steps."})
    include_initial: bool = field(
        default=True, metadata={"help": "Average over the points 0..k-1, as the code; else over 1..k (one pass more)."}
    )
    divide_by_k: bool = field(
        default=True, metadata={"help": "Average the k losses, as the paper; else sum them, as the code."}
    )


class TavatTrainer(RobustTrainer):
    r"""Li and Qiu 2021, arXiv:2004.14543, Algorithm 1 (token-aware VAT).

    .. math:: \frac1k\sum_{t=0}^{k-1}\mathrm{CE}(f(e+\delta_t+\eta_t),y)

    ``e``, delta and eta are (B, L, E). delta starts from noise, eta from a table V [vocabulary, E] that remembers each
    word's last one (:class:`TokenTable`); how they move is :class:`hf_robust.adversary.TokenAware`. k forwards and k
    backwards a step. V is no parameter; it is saved with checkpoints, so that a run resumes exactly (TAVAT-6).

    Differs from the code: losses are averaged (TAVAT-1, ``--divide_by_k False`` sums); eta is brought to norm 1 for
    each text over its real tokens, not for the batch (TAVAT-2, TAVAT-3), and the start into the radius, which the
    code's smaller start needs not; V takes the mean over a word's occurrences, not the old value plus their sum
    (TAVAT-4); each pass has its own look-up and is freed (TAVAT-7). ``--include_initial False`` averages over the
    points 1..k, which ``adaptive_tavat`` climbs, with one pass more.
    """

    name = "tavat"
    citation = "li2021tavat"
    config = TavatConfig
    weakened_by = {"perturbation_norm": "adv_lr"}

    def auxiliary(self) -> Auxiliary:
        self.table = TokenTable(self)
        return Auxiliary(self.table, after_step=self.table.write)

    def used_arguments(self) -> dict[str, Any]:
        return {**super().used_arguments(), "tavat_token_lr": self.args.token_step}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        steps = self.args.adv_steps
        last: list[Variable] = []

        def loss_at(point: Variable) -> PassLoss:
            last[:] = [point]
            return PassLoss(*self.task_loss(model, inputs, at=point))

        weights = (1 / steps if self.args.divide_by_k else 1.0,) * steps
        start: Variable = self.table.start(self, inputs)
        space, replay = self.embedding_space, self.embedding_space.replay(inputs)
        if not self.args.include_initial:
            objective = partial(self.sample_losses, labels=inputs["labels"])
            start = space.worst(inputs, objective, start, steps=1, replay=replay)
        loss, outputs = space.streamed(model, inputs, weights, loss_at, start, replay)
        self.table.remember(inputs, last[0])  # type: ignore[arg-type]
        return (loss, outputs) if return_outputs else loss
