"""Ordinary fine-tuning, the base of all methods: the task loss, and the means of logged values."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import Trainer

from hf_robust.adversary import (
    CLEAR_COSINE,
    SMALLEST_COSINE,
    Perturbation,
    computing_type,
    embedding_unit,
    perturbed,
    rounding_cosine,
    sample_norm,
)
from hf_robust.data.labels import MULTI
from hf_robust.losses import sample_kl
from hf_robust.training.arguments import as_flags
from hf_robust.training.loss_increase import LossIncrease
from hf_robust.training.sharding import set_up_fsdp

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

Batch = dict[str, Any]


class StepMeans:
    """Accumulates named values, and gives their means over steps and ranks when the Trainer logs.

    Each step counts once. For values with a validity mask, each valid value counts once, so that a step without valid
    values changes nothing. All ranks must add the same names, because the sums are reduced together.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, name: str, values: Tensor, valid: Tensor | None = None) -> None:
        """Add the mean of ``values`` as the value of a step; with ``valid`` (1 or 0) add each valid value instead."""
        values = values.detach().float()
        if valid is None:
            # Under DataParallel a scalar has one value for each device.
            total, count = values.mean(), torch.ones((), device=values.device)
        else:
            total, count = (values * valid).sum(), valid.detach().float().sum()
        before = self._sums.get(name)
        self._sums[name] = (total, count) if before is None else (before[0] + total, before[1] + count)

    def current(self, reduce: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """The means so far, without names that had no valid value. ``reduce`` sums over ranks."""
        if not self._sums:
            return {}
        sums = reduce(torch.stack([torch.stack(pair) for pair in self._sums.values()]))
        means = zip(self._sums, (sums[:, 0] / sums[:, 1]).tolist(), sums[:, 1].tolist(), strict=True)
        return {name: mean for name, mean, count in means if count > 0}

    def take(self, reduce: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """Return the means so far and reset them."""
        means = self.current(reduce)
        self._sums = {}
        return means


class TaskTrainer(Trainer):
    """A Hugging Face ``Trainer`` on the task loss, whose gradients do not depend on gradient accumulation.

    The task loss is the model's own loss, or the smoothed or class-weighted cross-entropy. ``stock_multiplies`` is
    True if the stock Trainer would multiply the gradients of this model by the number of parts of a batch.
    """

    name: ClassVar[str] = "normal"
    args: Any

    # compute_loss returns the mean over the micro-batch, so that the Trainer must divide by the accumulation steps.
    loss_is_scaled_for_ga = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stock_multiplies = bool(vars(self)["model_accepts_loss_kwargs"])
        # transformers 5.17 has no loss_is_scaled_for_ga and reads this attribute instead.
        self.model_accepts_loss_kwargs = False
        self.means = StepMeans()
        self.loss_increase = LossIncrease(self)
        self._first_step: int | None = None
        self._rounding_reported = False

    @property
    def multi_label(self) -> bool:
        """Whether a row has several labels, each with a prediction of its own."""
        return getattr(self.model.config, "problem_type", None) == MULTI

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        set_up_fsdp(self)

    def inference(self, model: nn.Module, batch: Batch) -> Any:
        """The outputs of the model in use: evaluation and attacks predict by this method."""
        return model(**batch)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss

    def task_loss(
        self, model: nn.Module, batch: Batch, at: Perturbation | None = None, **forward: Any
    ) -> tuple[Tensor, Any]:
        """Mean task loss of a batch with ``labels``, and the model's outputs.

        ``at`` is a point in embedding space; None means the clean text.
        """
        record = self.loss_increase.recorder(batch, at)
        with perturbed(self.model, None if at is None else partial(self._perturb, at)):
            return record(*self._task_loss(model, batch, **forward))

    def _perturb(self, at: Perturbation, embeddings: Tensor) -> Tensor:
        moved = at(embeddings)
        with torch.no_grad():
            # A perturbation is only large or small relative to the embeddings, which a model can grow to escape it.
            # Both norms are over the perturbable tokens, and means over all passes with a point, even a zero one.
            self.log_values(
                embedding_norm=sample_norm(embeddings * at.mask).mean(),
                perturbation_norm=sample_norm((moved - embeddings) * at.mask).mean(),
            )
            if at.relative:
                self.log_values(embedding_unit=embedding_unit(embeddings, at.mask))
            cosine = rounding_cosine(at, embeddings)
            if cosine is not None:
                self.log_values(perturbation_cosine=cosine)
                self._check_rounding(cosine, embeddings)
        return moved

    def _check_rounding(self, cosine: Tensor, embeddings: Tensor) -> None:
        """Refuse a perturbation that the model's number format rounds away; checked in the first step only."""
        if self._first_step is None:
            self._first_step = self.state.global_step
        if self.state.global_step > self._first_step or self._rounding_reported or float(cosine) > CLEAR_COSINE:
            return
        dtype = str(computing_type(embeddings)).removeprefix("torch.")
        rounded = (
            f"{self.name}: {dtype} rounds the perturbation (cosine {cosine:.2f} between the one that was asked for "
            "and the one that is left"
        )
        remedy = "train in float32, or perturb more (--adv_relative gives sizes in units of the embeddings)"
        if float(cosine) < SMALLEST_COSINE:
            raise ValueError(f"{rounded}, and {SMALLEST_COSINE} is needed); {remedy}.")
        self._rounding_reported = True
        if self.is_world_process_zero():
            logger.warning(f"{rounded}); to avoid that, {remedy}.")

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
            raise ValueError(
                "--class_weights needs labels that are class ids, unlike those of this task: leave it out."
            )
        if len(weights) != logits.shape[-1]:
            raise ValueError(
                f"--class_weights needs {logits.shape[-1]} values, one for each class, got {len(weights)}."
            )
        return self.sample_losses(logits, labels).sum() / self.mean_divisor({"labels": labels})

    def sample_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B,) task loss of each row, with label smoothing and class weights; adversaries maximise it."""
        weights = self.args.class_weights
        if self.multi_label:
            # The mean over the labels, so that the mean over the rows is the model's own loss.
            losses = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none")
            return losses.mean(-1)
        if labels.is_floating_point():
            raise ValueError(
                f"{self.name} needs labels that are class ids, unlike those of this task; use --robust_method normal."
            )
        return nn.functional.cross_entropy(
            logits.float(),
            labels,
            weight=None if weights is None else torch.tensor(weights, device=logits.device),
            label_smoothing=self.args.label_smoothing_factor,
            reduction="none",
        )

    def divergence_from(self, clean: Tensor) -> Callable[[Tensor], Tensor]:
        """The function from (B, K) logits to (B,) divergences ``KL(p(clean) || p(logits))``, per row or per label."""
        return partial(sample_kl, clean, multi_label=self.multi_label)

    def mean_divisor(self, batch: Batch) -> float | Tensor:
        """Divisor of the sum of :meth:`sample_losses` in :meth:`task_loss`: the rows, or their class weights."""
        weights = self.args.class_weights
        labels: Tensor = batch["labels"]
        return float(len(labels)) if weights is None else torch.tensor(weights, device=labels.device)[labels].sum()

    def log_parts(self, **parts: Tensor) -> None:
        """Record parts of the loss, with the same names in each step; their means are logged as ``loss_<name>``."""
        self.log_values(**{f"loss_{name}": part for name, part in parts.items()})

    def log_values(self, **values: Tensor) -> None:
        """Record scalars of a step; their means since the last log entry are logged under their names."""
        for name, value in values.items():
            self.means.add(name, value)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs.update(self.means.take(partial(self.accelerator.reduce, reduction="sum")))
        super().log(logs, start_time)


def report_split_batches(trainer: RobustTrainer) -> None:
    """Log one line if batches are split over accumulation steps or ranks, and that changes the training.

    The stock Trainer (5.23, https://github.com/huggingface/transformers/issues/47688) concludes from the ``**kwargs``
    of a classifier that it scales its loss by the whole batch, but its head does not. So neither accumulation steps
    nor ranks divide the loss, and the gradients are that many times as large.
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
            "trained weights differ.",
            parts,
            parts,
        )
