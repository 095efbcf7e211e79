"""Loss increase of an adversary: the loss at its point minus the loss at the clean text, under equal dropout masks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from transformers import IntervalStrategy

from hf_robust.adversary import Perturbation, preserved_random_state
from hf_robust.models.passes import uncounted

if TYPE_CHECKING:
    from hf_robust.training.task_loss import Batch, TaskTrainer

EVERY = 10
"""Number of training steps between measurements; fewer if the logging windows are shorter."""


class _CleanLoss(NamedTuple):
    """The clean loss of a batch, and the values that it depends on besides the weights."""

    step: int
    ids: Tensor
    random: tuple[Tensor, ...]
    loss: Tensor


class LossIncrease:
    r"""Logs ``clean_loss`` and ``loss_increase`` of a method with an adversary, as means over the measured steps.

    .. math:: \mathrm{CE}(f(e+\delta),y) - \mathrm{CE}(f(e),y)

    for the points delta (B, L, E) of the training passes of a step, averaged if there are several. Both passes have
    the same dropout masks, so that only the adversary causes the difference. If this increase differs between two
    methods, their adversaries were not equally strong, even with the same step sizes.

    The clean pass is one more forward pass without gradients for each set of masks, in each `EVERY`-th step and at
    least once in each logging window. It preserves the random state and is not counted as a forward pass.
    """

    def __init__(self, trainer: TaskTrainer) -> None:
        self._trainer = trainer
        self.every_step = False
        self._paused = False
        self._last: _CleanLoss | None = None

    @contextmanager
    def paused(self, pause: bool = True) -> Iterator[None]:
        """Do not measure passes in the block: their point is the clean text, or not a training point."""
        before, self._paused = self._paused, pause or self._paused
        try:
            yield
        finally:
            self._paused = before

    @property
    def _due(self) -> bool:
        state, window = self._trainer.state, self._trainer.state.logging_steps
        if self._trainer.args.logging_strategy == IntervalStrategy.EPOCH:
            window = state.max_steps // max(1, state.num_train_epochs)
        period = 1 if self.every_step else max(1, min(EVERY, int(window)))
        return not self._paused and (state.global_step + 1) % period == 0

    def recorder(self, batch: Batch, at: Perturbation | None) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
        """A function that logs the loss increase of the next pass, if a measurement is due.

        Call this before the pass at the point ``at``. The returned function takes the loss and the outputs of that
        pass and returns them unchanged.
        """
        trainer = self._trainer
        due = at is not None and trainer.model.training and self._due
        clean = self._clean_loss(batch) if due else None

        def record(loss: Tensor, outputs: Any) -> tuple[Tensor, Any]:
            if clean is not None:
                trainer.log_values(clean_loss=clean, loss_increase=loss.detach() - clean)
            return loss, outputs

        return record

    def _clean_loss(self, batch: Batch) -> Tensor:
        """The task loss at the clean text under the dropout masks that the next pass will draw."""
        trainer: Any = self._trainer
        step, ids, random = trainer.state.global_step, batch["input_ids"], random_state(batch["input_ids"].device)
        last = self._last
        if last is None or last.step != step or last.ids is not ids or not all(map(torch.equal, last.random, random)):
            with torch.no_grad(), preserved_random_state(), uncounted():
                loss, _ = trainer.task_loss(trainer.model, batch)
            self._last = last = _CleanLoss(step, ids, random, loss.detach())
        return last.loss

    def run_mean(self) -> dict[str, float]:
        """The mean over all log entries so far, including those before a resumption; empty without entries."""
        history = self._trainer.state.log_history
        increases = [float(entry["loss_increase"]) for entry in history if "loss_increase" in entry]
        return {"loss_increase": round(statistics.fmean(increases), 6)} if increases else {}


def random_state(device: torch.device) -> tuple[Tensor, ...]:
    """The state of the random generators of dropout."""
    cuda = (torch.cuda.get_rng_state(device),) if device.type == "cuda" else ()
    return (torch.get_rng_state(), *cuda)
