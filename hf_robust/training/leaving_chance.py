"""Has a training left chance after a fifth of it? If not one warning says so, while something can still be changed."""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.adversary import evaluating, kept_random_state
from hf_robust.metrics import sampled_rows
from hf_robust.models.passes import uncounted
from hf_robust.views import ViewedDataset

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

PART, NEAR = 0.2, 0.05
"""When it is asked, as a share of the steps, and how near to chance is too near, as a share of chance."""
ROWS = 256
TERM, SIZES = "loss_", ("perturbation_norm", "embedding_norm")


class Learnt(NamedTuple):
    """A task loss beside chance: the loss of the best answer that does not look at the texts, both in nats."""

    loss: float
    chance: float
    rows: int

    @property
    def nothing(self) -> bool:
        """Whether it is within 5 % of chance, or above; never where all rows have one label."""
        return self.chance > 0 and self.loss >= (1 - NEAR) * self.chance


class SayStillAtChance(TrainerCallback):
    """One warning after a fifth of the steps where the task loss is still near chance.

    It names the means of the loss's terms as the log has them, and of a method's flags those that weigh them
    (``RobustTrainer.weakened_by``).
    """

    def __init__(self, trainer: RobustTrainer) -> None:
        self.trainer = trainer

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # At the begin of the next step and before all other callbacks: none of them counts its passes yet.
        if state.global_step != math.ceil(PART * state.max_steps):
            return
        learnt, logged = measured(self.trainer), last_values(self.trainer)
        if learnt is not None and learnt.nothing and state.is_world_process_zero:
            logger.warning(warning(self.trainer, learnt, logged))


def measured(trainer: RobustTrainer) -> Learnt | None:
    r"""The loss on clean training texts now, as the model predicts, and the entropy of their labels.

    .. math:: L = \frac{\sum_b w_{y_b}\,\mathrm{CE}(f(x_b), y_b)}{\sum_b w_{y_b}},\qquad
              H = -\sum_k q_k\log q_k,\quad q_k = \frac{w_k\,n_k}{\sum_j w_j\,n_j}

    with the class weights w and n_k rows of class k. H is the lowest loss that one answer for all texts can have, and
    at most log K: a model that has learnt how frequent each class is, and nothing of the texts, has it. Of clean texts
    and without dropout or label smoothing, it means the same for every method. Each rank asks about all rows, so that
    they stay in step; no random state is used up. None where there is no one class for each row, or no length.
    """
    dataset: Any = trainer.train_dataset
    dataset = dataset.dataset if isinstance(dataset, ViewedDataset) else dataset
    if trainer.model.config.num_labels == 1 or not hasattr(dataset, "__len__"):
        return None
    rows, size = sampled_rows(len(dataset), ROWS), trainer.args.per_device_eval_batch_size
    # Private in transformers: what its own loaders drop of rows that hold more than the model takes.
    collate = trainer._get_collator_with_removed_columns(trainer.data_collator)
    logits, labels, precision = [], [], trainer.compute_loss_context_manager()
    with uncounted(), torch.no_grad(), kept_random_state(), evaluating(trainer.model), precision:
        for start in range(0, len(rows), size):
            batch = trainer._prepare_inputs(collate([dataset[row] for row in rows[start : start + size]]))
            labels.append(batch.pop("labels"))
            if labels[-1].is_floating_point():
                return None
            logits.append(trainer.inference(trainer.model, batch)["logits"].float())
    return compared(torch.cat(logits), torch.cat(labels), trainer.args.class_weights)


def compared(logits: Tensor, labels: Tensor, class_weights: list[float] | None = None) -> Learnt:
    """From (N, K) logits and (N,) labels."""
    given = [1.0] * logits.shape[-1] if class_weights is None else class_weights
    weights = torch.tensor(given, device=logits.device)
    loss = nn.functional.cross_entropy(logits, labels, weight=weights)
    shares = torch.bincount(labels, minlength=len(weights)) * weights
    return Learnt(float(loss), float(torch.special.entr(shares / shares.sum()).sum()), len(labels))


def last_values(trainer: RobustTrainer) -> dict[str, float]:
    """Means of what the method logs, of the steps since the last log entry, or that entry's where there is none yet.

    All ranks have to ask, since they are reduced together.
    """
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {
        **(entries[-1] if entries else {}),
        **trainer.means.now(partial(trainer.accelerator.reduce, reduction="sum")),
    }


def warning(trainer: RobustTrainer, learnt: Learnt, logged: dict[str, float]) -> str:
    """What was measured, the sizes of the terms, and what to do."""
    args, state = trainer.args, trainer.state
    named = [name for name in logged if name.startswith(TERM) or name in {*SIZES, *trainer.weakened_by}]
    sizes = ", ".join(f"{name} {logged[name]:.3g}" for name in named)
    flags = {flag for name, flag in trainer.weakened_by.items() if name in logged and getattr(args, flag)}
    lower = ", ".join(
        f"--{flag} (now {getattr(args, flag)})" for flag in trainer.weakened_by.values() if flag in flags
    )
    ways = [f"lower {lower}"] * bool(lower)
    if getattr(args, "contrastive_warmup", None) == 0 and flags & set(args.risen_weights):
        ways.append("let the weight rise (--contrastive_warmup 0.5)")
    ways.append("train for more steps" if ways else "train for more steps, or at another --learning_rate")
    return (
        f"{trainer.name}: after {state.global_step} of {state.max_steps} steps the task loss on {learnt.rows} clean "
        f"training texts is {learnt.loss:.3f}, where one answer for all has {learnt.chance:.3f}: the model has learnt "
        f"next to nothing of the task. {f'Means of the last steps, as logged: {sizes}. ' if sizes else ''}"
        f"If it stays so, {' or '.join(ways)}."
    )
