"""Peak memory of a training step in bytes: deterministic on a CPU, the allocator's count on a GPU."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import TrainerCallback

from hf_robust.trainers import RobustTrainer


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of live tensors that were made inside the block: ``now``, and at most ``peak``.

    ``torch.distributed``'s ``MemTracker`` measures the same, but refuses a model that is called twice in a step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = {_storage(tensor)._cdata for tensor in tree_iter((args, kwargs or {})) if isinstance(tensor, Tensor)}
        outputs = func(*args, **(kwargs or {}))
        for tensor in tree_iter(outputs):
            if isinstance(tensor, Tensor):
                storage = _storage(tensor)
                # Views and results of in-place operations use a storage that existed before.
                if storage._cdata not in self._known and storage._cdata not in inputs:
                    self._add(storage)
        self.peak = max(self.peak, self.now)
        return outputs

    def _add(self, storage: torch.UntypedStorage) -> None:
        self._known.add(storage._cdata)
        self.now += storage.nbytes()
        weakref.finalize(storage, self._drop, storage._cdata, storage.nbytes())

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()


@dataclass
class Peak:
    """``step``: bytes that a step needs beyond those that are kept between steps."""

    step: int = 0


@contextmanager
def peak_of_step(device: torch.device) -> Iterator[Peak]:
    """Measure the peak memory of the block, which is one training step."""
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        torch.cuda.synchronize(device)
        peak.step = torch.cuda.max_memory_allocated(device) - before
    else:
        with LiveStorages() as live:
            yield peak
        peak.step = live.peak


class StepPeak(TrainerCallback):
    """Measures the last of ``steps`` steps, when the optimizer state exists."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._running: Any = None
        self.peak = 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self._steps - 1:
            self._running = peak_of_step(args.device)
            self._peak_of_step = self._running.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running, self.peak = None, self._peak_of_step.step


def step_memory(trainer: RobustTrainer) -> dict[str, int]:
    """Train to ``max_steps`` and measure memory.

    Returns:
        ``kept``: bytes of parameters, buffers and optimizer state; ``step``: bytes that a step adds at its peak;
        ``peak``: their sum.
    """
    peak = StepPeak(trainer.args.max_steps)
    trainer.add_callback(peak)
    trainer.train()
    trainer.remove_callback(peak)
    model, optimizer = trainer.model, trainer.optimizer
    state = [value for states in optimizer.state.values() for value in states.values() if isinstance(value, Tensor)]
    bytes_kept = sum(
        {id(tensor): tensor.nbytes for tensor in [*model.parameters(), *model.buffers(), *state]}.values()
    )
    return {"kept": bytes_kept, "step": peak.peak, "peak": bytes_kept + peak.peak}
