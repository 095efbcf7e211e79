"""ttso: divide the logits by a temperature while training, and by none afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import log_softmax

from hf_robust.training.arguments import RobustTrainingArguments, check_range
from hf_robust.training.base import Batch, RobustTrainer


@dataclass
class TTSOConfig(RobustTrainingArguments):
    """The temperature is that of the benchmark's scripts; for TTSO++ they take 20 and ``ttso_alpha`` 0.5."""

    ttso_temperature: float = field(default=10.0, metadata={"help": "[T] temperature of the training loss; 1: none."})
    ttso_alpha: float = field(
        default=0.0,
        metadata={"help": "[alpha] weight of each text's entropy in its temperature (TTSO++); 0: T for all texts."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("ttso_alpha", self.ttso_alpha, 0.0, None, "0 gives all texts the same temperature")
        if self.ttso_temperature <= 0:
            raise ValueError(
                f"--ttso_temperature must be above 0, got {self.ttso_temperature:g}; 1 is ordinary fine-tuning."
            )


class TTSOTrainer(RobustTrainer):
    r"""Raina et al. 2024, arXiv:2402.17509 (temperature in training); with ``ttso_alpha``, TTSO++ of the benchmark by
    Wang and Lin 2025, arXiv:2501.02654, as its code has it.

    .. math:: \frac1B\sum_b \mathrm{CE}\bigl(z_b / T_b,\,y_b\bigr),\qquad T_b = T + \alpha\,H(p_b),\quad
              H(p) = -\sum_k p_k\ln p_k,\quad p_b = \mathrm{softmax}(z_b)

    ``z`` is (B, K) logits of ``x``, (B, L) token ids. H is in nats, between 0 and ln K, and the gradient flows through
    T_b too. One forward and one backward a step. Evaluation and attacks use the logits as they are.

    **Such a model is over-confident by construction**: its logits are up to T times as large as those of ``normal``,
    and probabilities of 1 hide from an attack which word matters. A gain under attacks by probability is then partly
    an illusion, which is the subject of the paper. ``--attack_scores margin`` searches by the margin of the logits,
    which no temperature changes; a comparison should have both. ``eval_loss`` is at temperature 1 and says little.

    Differs from the paper in nothing known to us; the default T is the benchmark's. Class weights and label smoothing
    are those of the task loss.
    """

    name = "ttso"
    family = "loss on the text itself"
    citation = "raina2024extreme"
    config = TTSOConfig
    presets = ("ttso.json", "ttso_entropy.json")
    zero_strength = {"ttso_temperature": 1.0, "ttso_alpha": 0.0}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        args = self.args
        loss, outputs = self.task_loss(model, inputs)
        if args.ttso_temperature != 1.0 or args.ttso_alpha:
            logits = outputs["logits"].float()
            temperatures = args.ttso_temperature + args.ttso_alpha * entropies(logits)
            self.log_values(temperature=temperatures.mean())
            losses = self.sample_losses(logits / temperatures.unsqueeze(-1), inputs["labels"])
            loss = losses.sum() / self.mean_divisor(inputs)
        return (loss, outputs) if return_outputs else loss


def entropies(logits: Tensor) -> Tensor:
    """Entropy in nats of each row's softmax, (B,).

    >>> import torch
    >>> round(entropies(torch.tensor([[0.0, 0.0], [50.0, 0.0]]))[0].item(), 4)
    0.6931
    """
    logs = log_softmax(logits, dim=-1)
    return -(logs.exp() * logs).sum(dim=-1)
