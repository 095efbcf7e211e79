"""How much an adversary raises the loss: at its point less at the clean text, under the same dropout masks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from transformers import IntervalStrategy

from hf_robust.adversary import Perturbation, kept_random_state
from hf_robust.models.passes import uncounted

if TYPE_CHECKING:
    from hf_robust.training.task_loss import Batch, TaskTrainer

EVERY = 10
"""Training steps from one measurement to the next; fewer where the log has shorter windows."""


class _Measured(NamedTuple):
    """The clean loss of a batch, and what it depends on beside the weights."""

    step: int
    ids: Tensor
    random: tuple[Tensor, ...]
    loss: Tensor


class LossIncrease:
    r"""Logs ``clean_loss`` and ``loss_increase`` of a method with an adversary, means over its measured steps:

    .. math:: \mathrm{CE}(f(e+\delta),y) - \mathrm{CE}(f(e),y)

    for the points delta (B, L, E) of its training passes, the mean over them where there are several; both passes have
    the same dropout masks, so that the difference is the adversary's alone. Two methods whose increase differs were
    not trained against equally strong adversaries, whatever their step sizes.

    The clean pass is one more forward pass without a gradient, for each set of masks, in every `EVERY`-th step and at
    least once in each logging window. It draws no random number of the run's, and is in no count of forward passes.
    """

    def __init__(self, trainer: TaskTrainer) -> None:
        self._trainer = trainer
        self.every_step = False
        self._paused = False
        self._last: _Measured | None = None

    @contextmanager
    def paused(self, pause: bool = True) -> Iterator[None]:
        """Passes in the block are not measured: their point is the clean text, or not what is trained at."""
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

    def beside(self, batch: Batch, at: Perturbation | None) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
        """Called before a pass at ``at``; what it gives takes the pass's loss and outputs, notes the loss where one is
        due, and returns both."""
        trainer = self._trainer
        due = at is not None and trainer.model.training and self._due
        clean = self._clean_loss(batch) if due else None

        def noted(loss: Tensor, outputs: Any) -> tuple[Tensor, Any]:
            if clean is not None:
                trainer.log_values(clean_loss=clean, loss_increase=loss.detach() - clean)
            return loss, outputs

        return noted

    def _clean_loss(self, batch: Batch) -> Tensor:
        """The task loss at the clean text under the masks that the next pass will draw."""
        trainer: Any = self._trainer
        step, ids, random = trainer.state.global_step, batch["input_ids"], random_state(batch["input_ids"].device)
        last = self._last
        if last is None or last.step != step or last.ids is not ids or not all(map(torch.equal, last.random, random)):
            with torch.no_grad(), kept_random_state(), uncounted():
                loss, _ = trainer.task_loss(trainer.model, batch)
            self._last = last = _Measured(step, ids, random, loss.detach())
        return last.loss

    def over_the_run(self) -> dict[str, float]:
        """The mean over the log's entries so far, those before a resumption too; empty where there is none."""
        history = self._trainer.state.log_history
        found = [float(entry["loss_increase"]) for entry in history if "loss_increase" in entry]
        return {"loss_increase": round(statistics.fmean(found), 6)} if found else {}


def random_state(device: torch.device) -> tuple[Tensor, ...]:
    """The state of the generators that dropout draws from."""
    cuda = (torch.cuda.get_rng_state(device),) if device.type == "cuda" else ()
    return (torch.get_rng_state(), *cuda)
