"""The loss of the task and what is logged of it: ordinary fine-tuning, which every method builds on.

Means of named values since the last log entry.

What splitting a batch over steps or ranks changes, said before training.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import Trainer

from hf_robust.adversary import Perturbation, perturbed, sample_norm
from hf_robust.training.arguments import as_flags
from hf_robust.training.loss_increase import LossIncrease

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)


def say_split_batches(trainer: RobustTrainer) -> None:
    """One line where a batch is split and that changes something.

    The stock Trainer (5.23, https://github.com/huggingface/transformers/issues/47688) takes the ``**kwargs`` of a
    classifier for a promise to scale its loss by the whole batch, which its head does not keep: neither accumulation
    steps nor ranks divide, so that its gradients are as many times as large.
    """
    args = trainer.args
    parts = args.gradient_accumulation_steps * args.world_size
    if parts == 1 or trainer.train_dataset is None or not trainer.is_world_process_zero():
        return
    if trainer.batch_relative:
        remedy = f" (with {as_flags(trainer.row_wise)} it does not)" if trainer.row_wise else ""
        logger.warning(
            "%s takes means over each micro-batch: splitting a batch changes its loss%s.", trainer.name, remedy
        )
    if trainer.stock_multiplies:
        logger.info(
            "The loss is the mean over the %d parts of a batch (accumulation steps times processes). The stock "
            "Trainer of transformers does not divide for this model: its gradients are %d times as large, and its "
            "weights others.",
            parts,
            parts,
        )


class StepMeans:
    """Adds up values by name, and gives their means, over all ranks, when the Trainer logs.

    Each step counts once; of values that are valid or not each valid one does, so that a step without one changes
    nothing. Ranks must add the same names, since they are reduced together.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, name: str, values: Tensor, valid: Tensor | None = None) -> None:
        """The mean of ``values`` as one step's value; with ``valid`` (1 or 0, the same shape) the valid ones."""
        values = values.detach().float()
        if valid is None:
            # Under DataParallel a scalar of a step has one value for each device.
            total, count = values.mean(), torch.ones((), device=values.device)
        else:
            total, count = (values * valid).sum(), valid.detach().float().sum()
        before = self._sums.get(name)
        self._sums[name] = (total, count) if before is None else (before[0] + total, before[1] + count)

    def now(self, reduce: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """The means so far. ``reduce`` sums over ranks. What had no valid value anywhere is left out."""
        if not self._sums:
            return {}
        sums = reduce(torch.stack([torch.stack(pair) for pair in self._sums.values()]))
        means = zip(self._sums, (sums[:, 0] / sums[:, 1]).tolist(), sums[:, 1].tolist(), strict=True)
        return {name: mean for name, mean, count in means if count > 0}

    def take(self, reduce: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """The means so far, and begin anew."""
        means = self.now(reduce)
        self._sums = {}
        return means


Batch = dict[str, Any]


class TaskTrainer(Trainer):
    """A Hugging Face ``Trainer`` on the task loss, whose gradients do not depend on how batches are accumulated.

    The task loss is the model's own, or the smoothed or weighted cross-entropy. ``stock_multiplies`` says whether the
    stock Trainer would multiply this model's gradients by the parts of a batch.
    """

    name: ClassVar[str] = "normal"
    args: Any

    # compute_loss returns the mean over the micro-batch, so the Trainer has to divide by the accumulation steps.
    loss_is_scaled_for_ga = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stock_multiplies = bool(vars(self)["model_accepts_loss_kwargs"])
        # transformers 5.17 does not know loss_is_scaled_for_ga; this is the switch that it reads instead.
        self.model_accepts_loss_kwargs = False
        self.means = StepMeans()
        self.increase = LossIncrease(self)

    def inference(self, model: nn.Module, batch: Batch) -> Any:
        """The outputs users see: evaluation and the attacks' victim go through here."""
        return model(**batch)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss

    def task_loss(
        self, model: nn.Module, batch: Batch, at: Perturbation | None = None, **forward: Any
    ) -> tuple[Tensor, Any]:
        """Mean task loss of a batch with ``labels``: the model's own, or the smoothed or weighted cross-entropy.

        ``at`` is a point in embedding space; None is the clean text.
        """
        noted = self.increase.beside(batch, at)
        with perturbed(self.model, None if at is None else partial(self._perturb, at)):
            return noted(*self._task_loss(model, batch, **forward))

    def _perturb(self, at: Perturbation, embeddings: Tensor) -> Tensor:
        moved = at(embeddings)
        with torch.no_grad():
            # A size means nothing without the embeddings' own, which a model can grow to escape. Both are
            # of the tokens that may be perturbed, and means over all passes that have a point, a point of zeros too.
            self.log_values(
                embedding_norm=sample_norm(embeddings * at.mask).mean(),
                perturbation_norm=sample_norm((moved - embeddings) * at.mask).mean(),
            )
        return moved

    def _task_loss(self, model: nn.Module, batch: Batch, **forward: Any) -> tuple[Tensor, Any]:
        own_loss = self.label_smoother is None and self.args.class_weights is None
        inputs = batch if own_loss else {key: value for key, value in batch.items() if key != "labels"}
        outputs = model(**inputs, **forward) if model.training else self.inference(model, {**inputs, **forward})
        if own_loss:
            return outputs["loss"], outputs
        if self.args.class_weights is None:
            return self.label_smoother(outputs, batch["labels"]), outputs
        return self._weighted_loss(outputs["logits"], batch["labels"]), outputs

    def _weighted_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = self.args.class_weights
        if labels.is_floating_point():
            raise ValueError("--class_weights needs one class for each row, and this task has not: leave it out.")
        if len(weights) != logits.shape[-1]:
            raise ValueError(
                f"--class_weights needs {logits.shape[-1]} values, one for each class, got {len(weights)}."
            )
        return self.sample_losses(logits, labels).sum() / self.mean_divisor({"labels": labels})

    def sample_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B,) task loss of each row, smoothed and weighted as the mean is: what adversaries of the label raise."""
        weights = self.args.class_weights
        if labels.is_floating_point():
            raise ValueError(
                f"{self.name} needs one class for each row, and this task has not; use --robust_method normal."
            )
        return nn.functional.cross_entropy(
            logits.float(),
            labels,
            weight=None if weights is None else torch.tensor(weights, device=logits.device),
            label_smoothing=self.args.label_smoothing_factor,
            reduction="none",
        )

    def mean_divisor(self, batch: Batch) -> float | Tensor:
        """What :meth:`task_loss` divides the sum of :meth:`sample_losses` by: the rows, or their classes' weights."""
        weights = self.args.class_weights
        labels: Tensor = batch["labels"]
        return float(len(labels)) if weights is None else torch.tensor(weights, device=labels.device)[labels].sum()

    def log_parts(self, **parts: Tensor) -> None:
        """Name parts of the loss, the same in every step; their means are logged as ``loss_<name>``."""
        self.log_values(**{f"loss_{name}": part for name, part in parts.items()})

    def log_values(self, **values: Tensor) -> None:
        """Name other scalars of a step; their means since the last log entry are logged as they are named."""
        for name, value in values.items():
            self.means.add(name, value)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs.update(self.means.take(partial(self.accelerator.reduce, reduction="sum")))
        super().log(logs, start_time)
