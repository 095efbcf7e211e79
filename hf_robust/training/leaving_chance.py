"""Warning, after a fifth of the training, if the task loss is still near chance."""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.adversary import evaluating, preserved_random_state
from hf_robust.data.stream import TextStream
from hf_robust.metrics import sampled_rows
from hf_robust.models.passes import uncounted
from hf_robust.views import ViewedDataset

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

STEP_SHARE, TOLERANCE = 0.2, 0.05
"""Share of the steps before the measurement, and the relative distance from chance below which the warning appears."""
ROWS = 256
LOSS_PREFIX, NORMS = "loss_", ("perturbation_norm", "embedding_norm")


class ChanceComparison(NamedTuple):
    """A task loss and its chance level in nats: the loss of the best constant prediction."""

    loss: float
    chance: float
    rows: int

    @property
    def near_chance(self) -> bool:
        """Whether the loss is within 5 % of chance or above it; False if all rows have the same label."""
        return self.chance > 0 and self.loss >= (1 - TOLERANCE) * self.chance


class NearChanceWarning(TrainerCallback):
    """Warns once, after a fifth of the steps, if the task loss is still near chance.

    The warning contains the logged means of the loss terms, and the flags of the method that weigh them
    (``RobustTrainer.weakened_by``).
    """

    def __init__(self, trainer: RobustTrainer) -> None:
        self.trainer = trainer

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # At the beginning of the next step and before all other callbacks, which do not count passes yet.
        if state.global_step != math.ceil(STEP_SHARE * state.max_steps):
            return
        comparison, logged = compare_to_chance(self.trainer), recent_log_values(self.trainer)
        if comparison is not None and comparison.near_chance and state.is_world_process_zero:
            logger.warning(near_chance_message(self.trainer, comparison, logged))


def compare_to_chance(trainer: RobustTrainer) -> ChanceComparison | None:
    r"""The current loss on clean training texts, under the method's inference, and the entropy of their labels.

    .. math:: L = \frac{\sum_b w_{y_b}\,\mathrm{CE}(f(x_b), y_b)}{\sum_b w_{y_b}},\qquad
              H = -\sum_k q_k\log q_k,\quad q_k = \frac{w_k\,n_k}{\sum_j w_j\,n_j}

    with the class weights w and n_k rows of class k. H is the lowest loss of a constant prediction, and at most log K:
    it is the loss of a model that has learnt the class frequencies and nothing else. The texts are clean, and there is
    no dropout or label smoothing, so that the loss has the same meaning for all methods. Each rank evaluates all rows,
    so that ranks stay synchronous; the random state is preserved. The texts of a stream are its first rows. Returns
    None if a row has not exactly one class, or the data set has no length.
    """
    dataset: Any = trainer.train_dataset
    dataset = dataset.dataset if isinstance(dataset, ViewedDataset) else dataset
    dataset = dataset.head if isinstance(dataset, TextStream) else dataset
    if trainer.model.config.num_labels == 1 or not hasattr(dataset, "__len__"):
        return None
    rows, size = sampled_rows(len(dataset), ROWS), trainer.args.per_device_eval_batch_size
    # Private in transformers: the collator that drops columns which the model does not take.
    collate = trainer._get_collator_with_removed_columns(trainer.data_collator)
    logits, labels, precision = [], [], trainer.compute_loss_context_manager()
    with uncounted(), torch.no_grad(), preserved_random_state(), evaluating(trainer.model), precision:
        for start in range(0, len(rows), size):
            batch = trainer._prepare_inputs(collate([dataset[row] for row in rows[start : start + size]]))
            labels.append(batch.pop("labels"))
            if labels[-1].is_floating_point():
                return None
            logits.append(trainer.inference(trainer.model, batch)["logits"].float())
    return chance_comparison(torch.cat(logits), torch.cat(labels), trainer.args.class_weights)


def chance_comparison(logits: Tensor, labels: Tensor, class_weights: list[float] | None = None) -> ChanceComparison:
    """Loss and chance level from (N, K) logits and (N,) labels."""
    weights = torch.tensor([1.0] * logits.shape[-1] if class_weights is None else class_weights, device=logits.device)
    loss = nn.functional.cross_entropy(logits, labels, weight=weights)
    shares = torch.bincount(labels, minlength=len(weights)) * weights
    return ChanceComparison(float(loss), float(torch.special.entr(shares / shares.sum()).sum()), len(labels))


def recent_log_values(trainer: RobustTrainer) -> dict[str, float]:
    """Means of the method's logged values since the last log entry; values without a newer mean are from that entry.

    All ranks must call this function, because it reduces the values over the ranks.
    """
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {
        **(entries[-1] if entries else {}),
        **trainer.means.current(partial(trainer.accelerator.reduce, reduction="sum")),
    }


def near_chance_message(trainer: RobustTrainer, comparison: ChanceComparison, logged: dict[str, float]) -> str:
    """The warning: the measured loss, the sizes of the loss terms, and remedies."""
    args, state = trainer.args, trainer.state
    names = [name for name in logged if name.startswith(LOSS_PREFIX) or name in {*NORMS, *trainer.weakened_by}]
    sizes = ", ".join(f"{name} {logged[name]:.3g}" for name in names)
    flags = {flag for name, flag in trainer.weakened_by.items() if name in logged and getattr(args, flag)}
    lower = ", ".join(
        f"--{flag} (now {getattr(args, flag)})" for flag in trainer.weakened_by.values() if flag in flags
    )
    remedies = [f"lower {lower}"] * bool(lower)
    if getattr(args, "contrastive_warmup", None) == 0 and flags & set(args.warmed_up_weights):
        remedies.append("let the weight rise slowly (--contrastive_warmup 0.5)")
    remedies.append("train for more steps" if remedies else "train for more steps, or at another --learning_rate")
    return (
        f"{trainer.name}: after {state.global_step} of {state.max_steps} steps the task loss on {comparison.rows} "
        f"clean training texts is {comparison.loss:.3f}, and a constant prediction has {comparison.chance:.3f}: the "
        "model has learnt almost nothing of the task. "
        f"{f'Logged means of the last steps: {sizes}. ' if sizes else ''}"
        f"If the loss does not fall, {' or '.join(remedies)}."
    )
