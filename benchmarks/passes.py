"""Forward and backward passes of a model: how many a training step makes, and what one of each kind costs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.stopwatch import CLOCKS, wait_for
from hf_robust.adversary import Delta, StepRule, embedding_width, perturbed
from hf_robust.trainers import RobustTrainer

FORWARDS = ("forward", "forward_no_grad")
BACKWARDS = ("backward", "backward_more", "backward_partial")
KINDS = (*FORWARDS, *BACKWARDS)
"""``backward`` gives the parameters their gradients, ``backward_more`` adds to gradients that are there already,
``backward_partial`` gives the word embeddings' alone. A call that goes back through several forwards is as many."""

Seconds = dict[str, float]


class PassCounter:
    """Counts the passes of ``model`` while the block of :func:`counting` runs.

    A forward is a call of the model. A backward is one forward's graph that one call of the engine goes through, seen
    by hooks on the tensors that the forward returned.
    """

    def __init__(self, model: nn.Module) -> None:
        self.counts: Counter[str] = Counter()
        self._parameters = {id(parameter) for parameter in model.parameters()}
        self._forward = 0
        self._reached: set[int] | None = None

    def begin_forward(self, module: nn.Module, inputs: Any) -> None:
        self._forward += 1
        self.counts["forward" if torch.is_grad_enabled() else "forward_no_grad"] += 1

    def end_forward(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        for tensor in _tensors(outputs):
            if tensor.requires_grad:
                tensor.register_hook(partial(self._reach, self._forward))

    def _reach(self, forward: int, gradient: Tensor) -> None:
        if self._reached is not None:
            self._reached.add(forward)

    def begin_step(self) -> None:
        """Forget the counts: the parameters have no gradients now."""
        self.counts.clear()

    def backward(self, engine: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``torch.autograd.backward``, counted."""
        found, reached = self._run(engine, *args, **kwargs)
        self._add_full(reached)
        return found

    def grad(self, engine: Callable[..., Any], outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """``torch.autograd.grad``, counted."""
        found, reached = self._run(engine, outputs, inputs, *args, **kwargs)
        if any(id(tensor) in self._parameters for tensor in _tensors(inputs)):
            self._add_full(reached)
        else:
            self.counts["backward_partial"] += reached
        return found

    def _add_full(self, reached: int) -> None:
        first = 1 if reached and not self.counts["backward"] else 0
        self.counts["backward"] += first
        self.counts["backward_more"] += reached - first

    def _run(self, engine: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, int]:
        outer, self._reached = self._reached, set()
        try:
            return engine(*args, **kwargs), len(self._reached)
        finally:
            self._reached = outer


@contextmanager
def counting(model: nn.Module) -> Iterator[PassCounter]:
    """Count the passes of ``model`` in the block."""
    counter = PassCounter(model)
    handles = [model.register_forward_pre_hook(counter.begin_forward)]
    handles.append(model.register_forward_hook(counter.end_forward))
    # A method may build its loss on hidden states alone, which the outer model need not return.
    base = getattr(model, "base_model", model)
    if base is not model:
        handles.append(base.register_forward_hook(counter.end_forward))
    engines = torch.autograd.backward, torch.autograd.grad
    torch.autograd.backward = partial(counter.backward, engines[0])  # type: ignore[assignment]
    torch.autograd.grad = partial(counter.grad, engines[1])  # type: ignore[assignment]
    try:
        yield counter
    finally:
        torch.autograd.backward, torch.autograd.grad = engines
        for handle in handles:
            handle.remove()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)


def time_passes(trainer: RobustTrainer, batches: Iterable[dict[str, Any]]) -> dict[str, Seconds]:
    """Mean seconds of one pass of each kind over ``batches``, by each clock; the first batch only warms up.

    ``trainer`` is that of `normal`: passes run in training mode and in its precision.
    """
    model: Any = trainer.model
    device = trainer.args.device
    model.train()
    spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number, batch in enumerate(batches):
        found = _one_of_each(trainer, model, trainer._prepare_inputs(batch), device)
        if number:
            for kind, seconds in found.items():
                spent[kind] += seconds
    model.zero_grad()
    return {
        kind: {clock: sum(one[place] for one in each) / len(each) for place, clock in enumerate(CLOCKS)}
        for kind, each in spent.items()
    }


def _one_of_each(
    trainer: RobustTrainer, model: Any, batch: dict[str, Any], device: torch.device
) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def timed(kind: str, work: Callable[[], Any]) -> Any:
        wait_for(device)
        wall, cpu = perf_counter(), process_time()
        result = work()
        wait_for(device)
        found[kind].append((perf_counter() - wall, process_time() - cpu))
        return result

    def forward() -> Tensor:
        with trainer.compute_loss_context_manager():
            return trainer.task_loss(model, batch)[0]

    model.zero_grad()
    for kind in ("backward", "backward_more"):
        loss = timed("forward", forward)
        timed(kind, partial(trainer.accelerator.backward, loss))
        del loss
    model.zero_grad()
    point = clean_point(model, batch).attached()
    with perturbed(model, point):
        loss = timed("forward", forward)
    timed("backward_partial", partial(torch.autograd.grad, loss, point.leaves))
    del loss
    with torch.no_grad():
        timed("forward_no_grad", forward)
    return found


def clean_point(model: nn.Module, batch: Mapping[str, Tensor]) -> Delta:
    """A perturbation of zeros, to be differentiated by."""
    mask = batch["attention_mask"].float().unsqueeze(-1)
    return Delta(mask.new_zeros(*batch["input_ids"].shape, embedding_width(model)), mask, StepRule(0.0))
