"""Forward and backward passes of a training step: their number, and the seconds of one pass of each kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.performance.stopwatch import CLOCKS, wait_for
from hf_robust.adversary import Delta, StepRule, embedding_width, perturbed
from hf_robust.models.passes import are_counted
from hf_robust.trainers import RobustTrainer

FORWARDS = ("forward", "forward_no_grad")
BACKWARDS = ("backward", "backward_more", "backward_partial")
KINDS = (*FORWARDS, *BACKWARDS)
"""``backward`` computes the gradients of the parameters, ``backward_more`` adds to existing gradients, and
``backward_partial`` computes those of the word embeddings alone. A backward through several forwards counts once for
each; a forward of a batch together with its views counts once for each batch's worth of rows."""

Seconds = dict[str, float]


def totals(counts: Mapping[str, float]) -> tuple[float, float]:
    """Forward and backward passes of all kinds."""
    return sum(counts.get(kind, 0.0) for kind in FORWARDS), sum(counts.get(kind, 0.0) for kind in BACKWARDS)


class PassCounter:
    """Counts the passes of ``models`` while the block of :func:`counting` runs.

    A call of a model on ``rows`` rows is one forward, and a call on twice as many rows is two; with None each call is
    one. A call of a module with an attribute ``passes`` is as many times that (:class:`IntervalBounds`). A backward is
    the graph of one forward that one call of the autograd engine passes through; hooks on the tensors that the forward
    returned detect it.
    """

    def __init__(self, *models: nn.Module, rows: int | None = None) -> None:
        self.counts: dict[str, float] = defaultdict(float)
        self._parameters = {id(parameter) for model in models for parameter in model.parameters()}
        self._rows = rows
        self._sizes: list[float] = []
        self._reached: set[int] | None = None

    def begin_forward(self, module: nn.Module, args: Any, keywords: Mapping[str, Any]) -> None:
        """Hook before a forward: count it and note its size."""
        size = 1.0 if self._rows is None else len(next(_tensors((args, keywords)))) / self._rows
        size *= getattr(module, "passes", 1)
        self._sizes.append(size)
        if are_counted():
            self.counts["forward" if torch.is_grad_enabled() else "forward_no_grad"] += size

    def end_forward(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        """Hook after a forward: watch which of its outputs a backward reaches."""
        for tensor in _tensors(outputs):
            if tensor.requires_grad:
                tensor.register_hook(partial(self._reach, len(self._sizes) - 1))

    def _reach(self, forward: int, gradient: Tensor) -> None:
        if self._reached is not None:
            self._reached.add(forward)

    def begin_step(self) -> None:
        """Reset the counts: the parameters have no gradients at this point."""
        self.counts.clear()

    def backward(self, engine: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``torch.autograd.backward`` and count its passes."""
        result, reached = self._run(engine, *args, **kwargs)
        self._add_full(reached)
        return result

    def grad(self, engine: Callable[..., Any], outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Call ``torch.autograd.grad`` and count its passes."""
        result, reached = self._run(engine, outputs, inputs, *args, **kwargs)
        if any(id(tensor) in self._parameters for tensor in _tensors(inputs)):
            self._add_full(reached)
        else:
            self.counts["backward_partial"] += sum(reached)
        return result

    def _add_full(self, reached: list[float]) -> None:
        first = sum(reached[:1]) if not self.counts["backward"] else 0.0
        self.counts["backward"] += first
        self.counts["backward_more"] += sum(reached) - first

    def _run(self, engine: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, list[float]]:
        outer, self._reached = self._reached, set()
        try:
            return engine(*args, **kwargs), [self._sizes[forward] for forward in sorted(self._reached)]
        finally:
            self._reached = outer


@contextmanager
def counting(*models: nn.Module, rows: int | None = None) -> Iterator[PassCounter]:
    """Count the passes of ``models`` in the block; ``rows`` rows are one pass."""
    counter = PassCounter(*models, rows=rows)
    handles = []
    for model in models:
        handles.append(model.register_forward_pre_hook(counter.begin_forward, with_kwargs=True))
        handles.append(model.register_forward_hook(counter.end_forward))
        # A method may compute its loss from hidden states, which the outer model does not have to return.
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
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def time_passes(trainer: RobustTrainer, batches: Iterable[dict[str, Any]]) -> dict[str, Seconds]:
    """Mean seconds of one pass of each kind over ``batches``, by each clock; the first batch is a warm-up.

    ``trainer`` is the trainer of `normal`: passes run in training mode and in its precision.
    """
    model: Any = trainer.model
    device = trainer.args.device
    model.train()
    by_kind: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number, batch in enumerate(batches):
        times = _one_of_each(trainer, model, trainer._prepare_inputs(batch), device)
        if number:
            for kind, seconds in times.items():
                by_kind[kind] += seconds
    model.zero_grad()
    return {
        kind: {clock: sum(pair[place] for pair in pairs) / len(pairs) for place, clock in enumerate(CLOCKS)}
        for kind, pairs in by_kind.items()
    }


def _one_of_each(
    trainer: RobustTrainer, model: Any, batch: dict[str, Any], device: torch.device
) -> dict[str, list[tuple[float, float]]]:
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def timed(kind: str, work: Callable[[], Any]) -> Any:
        wait_for(device)
        wall, cpu = perf_counter(), process_time()
        result = work()
        wait_for(device)
        times[kind].append((perf_counter() - wall, process_time() - cpu))
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
    return times


def clean_point(model: nn.Module, batch: Mapping[str, Tensor]) -> Delta:
    """A perturbation of zeros to differentiate with respect to."""
    mask = batch["attention_mask"].float().unsqueeze(-1)
    return Delta(mask.new_zeros(*batch["input_ids"].shape, embedding_width(model)), mask, StepRule(0.0))
